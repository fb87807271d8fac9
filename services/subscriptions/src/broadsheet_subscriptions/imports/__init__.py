"""Imports: a file of people, taken in whole, then read by a background job that survives its process.

`receive_file` stores the upload; `import_worker` leases a job and runs it (`run_import`, `undo_import`); what a file
says is read by a process of its own (`file_reader`, whose program is `read_file`), so that neither its bulk nor its
malice reaches the service. The nouns: `text_encoding`, `csv_records`, `xlsx_records`, `column`, `import_row`.
"""
