"""Models by their command-line names. Strings only: naming a model imports nothing."""

MODELS: dict[str, str] = {
    "mlp": "models.mlp.MLPTask",
    "autoencoder": "models.autoencoder.AutoencoderTask",
    "cnn": "models.cnn.CNNTask",
    "face": "models.face.FaceTask",
    "generalisation": "models.generalisation.GeneralisationTask",
    "glm": "models.glm.GLMTask",
    "rbm": "models.rbm.RBMTask",
    "dbn": "models.dbn.DBNTask",
    "adversarial": "models.adversarial.AdversarialTask",
    "geometry": "models.geometry.GeometryTask",
    "deep-vs-wide": "models.deep_vs_wide.DeepVsWideTask",
    "gradient-descent": "models.gradient_descent.GradientDescentTask",
    "losses": "models.losses.LossesTask",
    "perceptron": "models.perceptron.PerceptronTask",
    "vanishing-gradients": "models.vanishing_gradients.VanishingGradientsTask",
}

SUMMARIES: dict[str, str] = {
    "mlp": "one hidden layer approximates any continuous function, beside a proved floor",
    "autoencoder": "few numbers for a picture: autoencoders beside principal components",
    "cnn": "a convolutional network that recognises digits, faces and your own pictures",
    "face": "face identification and verification: a closed-form embedding and a network on top of it",
    "generalisation": "under- and overfitting, regularisers and double descent beside their exact curves",
    "glm": "generalised linear models: likelihood, its maximum by three solvers, Simpson's paradox",
    "rbm": "a restricted Boltzmann machine: nats a picture, log Z counted or fenced in by annealing",
    "dbn": "a deep belief network: machines layer by layer, then a supervised layer, beside a random start",
    "adversarial": "FGSM, PGD and one-pixel attacks on a trained network, beside exact worst cases",
    "geometry": "what each layer does to space: turn, scale, shift, bend, until a plane separates the classes",
    "deep-vs-wide": "shapes of equal budget, one wide layer to many narrow ones, their linear regions counted exactly",
    "gradient-descent": "descending on a function: where it ends, its factor per step, the edge of stability",
    "losses": "what each loss asks for: median, mean, probability; beside the exact minimisers",
    "perceptron": "one threshold unit and its limits, Rosenblatt's rule within its bound, XOR by two hidden units",
    "vanishing-gradients": "which deep networks train: activation, initialisation and wiring, and the law behind it",
}
