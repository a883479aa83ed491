"""What every figure is measured with."""
