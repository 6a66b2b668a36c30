"""Functions by networks of one hidden layer: broken lines fitted to the optimum, and families trained by descent."""
