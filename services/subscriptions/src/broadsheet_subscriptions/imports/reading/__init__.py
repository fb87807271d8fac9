"""Reading a file of people, in a process of its own: encodings, CSV, XLSX, columns, rows."""
