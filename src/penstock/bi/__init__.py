"""A project's models and questions, given to tools for business intelligence."""
