"""What a code is worth on pictures it has not seen: error beside PCA's, classes, anomalies, noise.

Letters: N pictures, K size of the code, D values of a picture.
"""

import math
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from models.coding.reference import MNIST_DEEP_30, MNIST_PCA_30, Reference
from theory.compression import psnr
from theory.denoising import least_denoising_error
from theory.principal import encode, least_error, projection_errors, scaled
from theory.seeds import mix_seed
from theory.verification import area_under_curve

MOST_CLUSTERED = 5_000  # pictures; more tell the same and take minutes
TWINS = 2_000


def squared_errors(restored: Tensor, pictures: Tensor) -> Tensor:
    """Squared error of each picture, summed over its values. Args: equal shapes (N, ...). Returns: shape (N,)."""
    return (restored - pictures).square().flatten(1).sum(1)


def gaussian_twins(reference: Reference, count: int) -> Tensor:
    """Gaussian noise with the mean and covariance of the training pictures: to PCA they are the same pictures.

    The mean error of PCA on them is Σ_{i>k} λ_i, exactly what it is on the training pictures. Whatever tells them
    apart sees more than second moments.

    Args:
        reference: Of the training pictures.
        count: N.

    Returns:
        Pictures, float32, not cut to 0..1, shape (N, C, H, W).
    """
    basis = reference.basis
    generator = torch.Generator().manual_seed(mix_seed(0, count))
    noise = torch.randn(count, len(basis.eigenvalues), generator=generator, dtype=torch.float64)
    pictures = basis.mean + (noise * basis.eigenvalues.sqrt()) @ basis.directions.T
    return pictures.view(count, *reference.train.shape[1:]).float()


def agreement(points: Tensor, labels: Tensor) -> float:
    """Normalised mutual information in 0..1 of k-means clusters with the classes, as many clusters as classes."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import normalized_mutual_info_score

    means = KMeans(len(labels.unique()), n_init=4, random_state=0).fit(points.double().numpy())
    return float(normalized_mutual_info_score(labels.numpy(), means.labels_))


@dataclass
class Denoised:
    """Noisy test pictures: σ, error of the network and of the best linear denoiser, and a few to draw.

    Attributes:
        noise: σ.
        error: Squared error of each picture restored by the network, shape (N,).
        wiener: The same of the Wiener filter of the training pictures, shape (N,).
        examples: Clean, noisy, restored, filtered pictures, each of shape (M, C, H, W).
    """

    noise: float
    error: Tensor
    wiener: Tensor
    examples: tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass
class Result:
    """Everything a run found on its test pictures.

    Attributes:
        reference: Principal components of the training pictures.
        images: Test pictures as the loader gave them, shape (N, C, H, W).
        labels: Their classes, shape (N,); seen by nothing but the comparison with clusters.
        codes: Shape (N, K).
        restored: Float, shape (N, C, H, W).
        class_names: Names of the classes.
        split: ``test``, or ``val`` where there is no test set.
        twin_errors: Errors on `gaussian_twins`, shape (M,).
        twins: These, shape (M, C, H, W).
        denoised: On noisy pictures, or None for a run without noise.
        exact: Exact training loss of a linear autoencoder and the least possible one, or None.
        complete: Whether everything below ``split`` was measured.
    """

    reference: Reference
    images: Tensor
    labels: Tensor
    codes: Tensor
    restored: Tensor
    class_names: list[str]
    split: str = "test"
    twin_errors: Tensor = field(default_factory=lambda: torch.zeros(0))
    twins: Tensor = field(default_factory=lambda: torch.zeros(0))
    denoised: Denoised | None = None
    exact: tuple[float, float] | None = None
    complete: bool = False

    @property
    def k(self) -> int:
        """Size of the code."""
        return self.codes.shape[1]

    @cached_property
    def pictures(self) -> Tensor:
        """Test pictures in 0..1, float64, shape (N, C, H, W)."""
        return scaled(self.images).view(self.images.shape)

    @cached_property
    def errors(self) -> Tensor:
        """Squared error of each test picture, shape (N,)."""
        return squared_errors(self.restored.double(), self.pictures)

    @cached_property
    def pca_errors(self) -> Tensor:
        """The same of PCA with as many numbers, shape (N,)."""
        return projection_errors(self.images, self.reference.basis, self.k)

    @property
    def pca_error(self) -> float:
        """Their mean; 0 where only rounding is left."""
        error = float(self.pca_errors.mean())
        return error if error > 1e-12 * float(self.reference.basis.eigenvalues.sum()) else 0.0

    @cached_property
    def known_answer(self) -> float | None:
        """PCA with 30 numbers on MNIST, fitted to all 60,000; None on other pictures."""
        return self.reference.known_answer(self.images) if self.split == "test" else None

    @cached_property
    def clusters(self) -> dict[str, float]:
        """Normalised mutual information of k-means clusters with the classes: of the code, PCA's code, the pixels."""
        part = slice(None, None, math.ceil(len(self.labels) / MOST_CLUSTERED))
        labels = self.labels[part]
        if not 1 < len(labels.unique()) < len(labels):
            return {}
        principal_code = encode(self.images[part], self.reference.basis, self.k)
        found = {"code": agreement(self.codes[part], labels)}
        if principal_code.shape[1]:
            found["pca"] = agreement(principal_code, labels)
        return found | {"pixels": agreement(self.pictures[part].flatten(1), labels)}

    @cached_property
    def anomalies(self) -> dict[str, float]:
        """Area under the ROC curve when the error tells Gaussian twins from pictures: of the network and of PCA."""
        if not len(self.twins) or not self.pca_error:
            return {}
        pca = projection_errors(self.twins, self.reference.basis, self.k)
        return {
            "code": area_under_curve(self.twin_errors.double(), self.errors),
            "pca": area_under_curve(pca, self.pca_errors),
        }

    def metrics(self) -> dict[str, float]:
        """Tags and values."""
        error, spread, pixels = float(self.errors.mean()), float(self.errors.std(correction=0)), self.images[0].numel()
        eigenvalues, test = self.reference.basis.eigenvalues, self.split
        values = {
            f"{test}/squared_error": error,
            f"{test}/squared_error_se": spread / math.sqrt(len(self.errors)),
            "theory/pca_squared_error": self.pca_error,
            "theory/pca_train_squared_error": least_error(eigenvalues, self.k),
            "theory/total_variance": float(eigenvalues.sum()),
            "theory/rank": float(len(eigenvalues)),
        }
        if error > 0:
            values[f"{test}/psnr_db"] = psnr(error, pixels)
        if values["theory/pca_squared_error"] > 0:
            values["gap/error_over_pca"] = error / values["theory/pca_squared_error"]
        if self.exact is not None:
            loss, least = self.exact
            values |= {"train/exact_loss": loss, "theory/least_loss": least}
            values["gap/relative_to_least_loss"] = (loss - least) / (least or 1.0)
        if self.known_answer is not None:
            values |= {"theory/mnist_pca_30": MNIST_PCA_30, f"{test}/mnist_pca_30": self.known_answer}
            if self.k == 30:
                values["theory/hinton_salakhutdinov_2006"] = MNIST_DEEP_30
                values["gap/error_over_hinton_salakhutdinov_2006"] = error / MNIST_DEEP_30
        values |= {f"{test}/nmi_{name}": value for name, value in self.clusters.items()}
        values |= {f"{test}/anomaly_auc_{name}": value for name, value in self.anomalies.items()}
        if self.denoised is not None:
            values[f"{test}/denoising_error"] = float(self.denoised.error.mean())
            values["theory/wiener_error"] = float(self.denoised.wiener.mean())
            values["theory/least_denoising_error"] = least_denoising_error(eigenvalues, self.denoised.noise)
            values["gap/error_over_wiener"] = values[f"{test}/denoising_error"] / values["theory/wiener_error"]
        return values

    def findings(self) -> list[tuple[str, str]]:
        """Lines of the result."""
        found, split, pixels = self.metrics(), self.split, self.images[0].numel()
        numbers = f"{self.k} number{'s' * (self.k > 1)}"
        error, pca = found[f"{split}/squared_error"], found["theory/pca_squared_error"]
        quality = f", {found[f'{split}/psnr_db']:.2f} dB" if error > 0 else ""
        text = (
            f"{error:.4g} ± {found[f'{split}/squared_error_se']:.2g} per {split} picture from a code of {numbers} "
            f"(sum over {pixels:,} values, standard error of {len(self.errors):,}){quality}"
        )
        lines = [("squared error", text)]
        text = f"{pca:.4g} with {numbers}" + (f", ours × {error / pca:.4f}" if pca > 0 else "")
        floor = found["theory/pca_train_squared_error"]
        lines.append(("PCA beside it", f"{text}; floor of every linear code on the training pictures {floor:.4g}"))
        rank = len(self.reference.basis.eigenvalues)
        if rank <= self.k:
            text = f"{len(self.reference.train):,} training pictures span {rank} dimension{'s' * (rank > 1)}"
            lines.append(("rank", f"{text}: a linear code of {numbers} keeps all of them"))
        if self.exact is not None:
            loss, least = self.exact
            gap = f"relative gap {(loss - least) / least:.2g}" if least > 0 else f"gap {loss - least:.2g}"
            lines.append(("exact loss", f"{loss:.12g} on the training pictures, least possible {least:.12g}: {gap}"))
        if self.known_answer is not None:
            text = (
                f"PCA with 30 numbers on MNIST, fitted to all 60,000: {self.known_answer:.4f}, published {MNIST_PCA_30}"
            )
            lines.append(("known answer", text))
            if self.k == 30:
                text = f"{MNIST_DEEP_30:.2f} (Hinton, Salakhutdinov 2006, pretrained)"
                lines.append(("published", f"{text}; ours × {error / MNIST_DEEP_30:.3f}"))
        if self.denoised is not None:
            ours, wiener = found[f"{split}/denoising_error"], found["theory/wiener_error"]
            text = f"{ours:.4g} with noise of {self.denoised.noise:g}; best linear denoiser (Wiener) {wiener:.4g}"
            due = found["theory/least_denoising_error"]
            lines.append(("denoising", f"{text}, due {due:.4g} with the covariance of the training pictures"))
        if self.clusters:
            names = {"code": "code", "pca": "PCA's code", "pixels": "pixels"}
            text = ", ".join(f"{names[name]} {value:.3f}" for name, value in self.clusters.items())
            lines.append(("k-means and classes", f"mutual information (1 is agreement): {text}"))
        if self.anomalies:
            ours, other = self.anomalies["code"], self.anomalies["pca"]
            text = f"Gaussian noise of the pictures' covariance is told by its error: AUC {ours:.3f}"
            lines.append(("anomalies", f"{text}, by PCA's {other:.3f} (0.5 is chance)"))
        return lines
