"""Pictures, sound and video of an answer: real files, made from the prompt, which say that they are emulated."""
