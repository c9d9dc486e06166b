"""Networks: tensors in, logits out."""
