"""Bytes nobody meant to send: whatever comes in, there is an answer, and what is refused leaves no trace."""
