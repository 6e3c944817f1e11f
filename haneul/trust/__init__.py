"""What makes a file checkable: the watermark in its frames and the signature on its bytes."""
