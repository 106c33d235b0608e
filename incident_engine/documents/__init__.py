"""Reports and timelines as documents: HTML to print, DOCX to edit, plain text."""
