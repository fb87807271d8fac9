"""What every Broadsheet service needs: `process` and `http` plumbing, `background` loops, `mail`, and the
`contracts` that cross services. Never business rules or routes.
"""
