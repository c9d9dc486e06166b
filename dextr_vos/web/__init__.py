"""The annotation page: a local server and one page in the browser."""
