"""What MNIST recipes of the lessons reach on two cores: accuracy and seconds of training.

    python benchmarks/mnist.py                 lesson 05's recipe, five seeds
    python benchmarks/mnist.py --recipes       lesson 07's three published recipes in full as well

Prints one line a run and the data's source. Seconds are for training alone.
"""

import argparse

import keras

from cnncourse.builders import build
from cnncourse.data import ImageDataset, load_mnist
from cnncourse.networks import NETWORKS
from cnncourse.training import History, train

LESSON_05_STEPS = 2_000


def show(label: str, history: History) -> None:
    accuracy = list(history.accuracies.values())[-1]
    print(f"{label:32} test accuracy {accuracy:.4f}  {history.seconds:6.1f} s", flush=True)


def lesson_05(data: ImageDataset, seeds: int) -> None:
    for seed in range(seeds):
        rate = keras.optimizers.schedules.CosineDecay(1e-3, LESSON_05_STEPS)
        history = train(
            build("mnist-tf", "eager", seed=seed),
            data,
            optimizer=keras.optimizers.Adam(rate),
            batch_size=64,
            steps=LESSON_05_STEPS,
            seed=seed,
            verbose=False,
        )
        show(f"lesson 05, seed {seed}", history)


def recipe(data: ImageDataset, name: str, optimizer: keras.optimizers.Optimizer) -> None:
    network = NETWORKS[name]
    history = train(
        build(network, "keras"),
        data.subset(network.recipe.train_images, len(data.x_test)),
        optimizer=optimizer,
        batch_size=network.recipe.batch_size,
        epochs=network.recipe.epochs,
        verbose=False,
    )
    show(f"{name}, {optimizer.name} {float(optimizer.learning_rate):g}", history)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="runs of lesson 05's recipe")
    parser.add_argument("--recipes", action="store_true", help="lesson 07's recipes as well")
    arguments = parser.parse_args()
    data = load_mnist().scaled()
    print(f"data: {data.name}, {data.source}")
    lesson_05(data, arguments.seeds)
    if arguments.recipes:
        recipe(data, "mnist-keras", keras.optimizers.Adam(1e-3))
        recipe(data, "mnist-lenet-keras", keras.optimizers.SGD(0.01))
        recipe(data, "mnist-lenet-keras", keras.optimizers.SGD(0.1))
        recipe(data, "mnist-lenet-keras", keras.optimizers.Adam(1e-3))


if __name__ == "__main__":
    main()
