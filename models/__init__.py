"""Models by their command-line names. Strings only: naming a model imports nothing."""

MODELS: dict[str, str] = {
    "cnn": "models.cnn.CNNTask",
    "face": "models.face.FaceTask",
}

SUMMARIES: dict[str, str] = {
    "cnn": "a convolutional network that recognises digits, faces and your own pictures",
    "face": "face identification and verification: a closed-form embedding and a network on top of it",
}
