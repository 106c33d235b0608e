"""Reports and timelines as documents: HTML for print, DOCX for editing, plain text."""
