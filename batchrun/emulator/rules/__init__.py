"""What the service accepts: each module checks one part of a request and raises `Refusal` with an envelope."""
