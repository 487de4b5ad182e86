"""What is written of a session: records, the verdicts on record, the HTML page and the terminal's table; nothing of pytest."""
