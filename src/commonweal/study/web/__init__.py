"""The study as HTML: forms that work without a script, over one Starlette application."""
