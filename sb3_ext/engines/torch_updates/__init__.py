"""Updates of SB3 models in torch: flat arrays, and gradients without autograd where a network is a perceptron."""
