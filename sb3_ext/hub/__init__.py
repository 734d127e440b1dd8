"""Publish runs on the Hugging Face Hub, and fetch agents from it."""
