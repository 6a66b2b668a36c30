"""Models by their command-line names. Strings only: naming a model imports nothing."""

MODELS: dict[str, str] = {
    "cnn": "models.cnn.CNNTask",
    "face": "models.face.FaceTask",
    "rbm": "models.rbm.RBMTask",
}

SUMMARIES: dict[str, str] = {
    "cnn": "a convolutional network that recognises digits, faces and your own pictures",
    "face": "face identification and verification: a closed-form embedding and a network on top of it",
    "rbm": "a restricted Boltzmann machine: nats a picture, log Z counted or fenced in by annealing",
}
