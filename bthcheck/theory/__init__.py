"""What the theorems say of a training: what each asks for is measured, what each bounds is evaluated."""
