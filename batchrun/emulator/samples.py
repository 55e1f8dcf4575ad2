"""What the quickstart's own requests hold where real ones hold an image and a signature.

They are taken, so that every request of the quickstart can be sent as it stands.
"""

from __future__ import annotations

#: The signature of the thoughts in its stateless requests.
SIGNATURE = "RXZF"
#: The first bytes of a JPEG and the word: the image of its multimodal request.
IMAGE = b"\xff\xd8\xff\xe0JPEG"
