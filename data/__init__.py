"""Data sets by their command-line names; the values are import paths, so that listing them imports nothing."""

DATA = {
    "digits": "data.digits.Digits",
    "faces": "data.faces.Faces",
    "mnist": "data.mnist.MNIST",
    "fashion-mnist": "data.mnist.FashionMNIST",
    "kmnist": "data.mnist.KMNIST",
    "olivetti": "data.olivetti.Olivetti",
    "face-splits": "data.face_splits.FaceSplits",
    "points": "data.points.Points",
    "depth-targets": "data.depth_targets.DepthTargets",
    "noisy-curve": "data.noisy_curve.NoisyCurve",
    "samples": "data.samples.Samples",
    "tables": "data.tables.Tables",
    "functions": "data.functions.Functions",
    "image": "data.functions.Picture",
    "landscape": "data.landscape.Landscape",
    "outcomes": "data.outcomes.Outcomes",
    "folder": "data.folder.Folder",
}

# A model that takes a data set in a form of its own: what the user calls it, and the name of that form.
# The face network trains on many splits at once.
OWN_FORM = {("face", "olivetti"): "face-splits"}
