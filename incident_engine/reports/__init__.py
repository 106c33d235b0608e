"""Reports as documents: HTML to print, DOCX to edit, plain text."""
