"""A job's stages as a picture. diagram.py says what is drawn; text.py, mermaid.py and svg.py each draw it."""
