"""Imports: a file of people is uploaded as a whole, then read by a background job that survives a crash of its
process.

`receive_file` stores the upload. `import_worker` leases a job and runs it (`run_import`, `undo_import`). The file
is parsed in a separate process (`file_reader`, whose program is `read_file`), so that neither a large nor a
malicious file can harm the service. The nouns: `text_encoding`, `csv_records`, `xlsx_records`, `column`,
`import_row`.
"""
