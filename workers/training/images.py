"""The images of a trial, with the labels and the evaluated split that its task asks for."""

from dataclasses import replace

import numpy as np
import torch

from workers.datasets import Arrays, LargeDataset
from workers.recipes import Search
from workers.streams import stream
from workers.training.halves import halves
from workers.trial import Trial


def images_of(trial: Trial, data: Arrays | LargeDataset) -> Arrays | LargeDataset:
    """The dataset as the trial uses it: its training images with the labels of the task, and the images that are
    evaluated in place of the test split.

    Both depend on (dataset_id, task, seed) alone.  Of a task that is scored on training images, as many of these as the
    test split has are evaluated, or all if there are fewer: an evaluation takes as long as one of any other task, and
    its score is as precise.
    """
    task, dataset = trial.configured_task, trial.data
    name = trial.dataset_id, trial.task, trial.seed
    if not task.dense:
        given = torch.from_numpy(data.train.labels)
        labels = task.labels(given, dataset, stream(*name, "labels"))
        if isinstance(trial.recipe, Search) and trial.recipe.random_part is not None:
            parts = dict(zip(("architecture", "network"), halves(trial, len(given), trial.recipe), strict=True))
            kept = parts[trial.recipe.random_part]  # the other part
            labels = labels.index_copy(0, kept, given[kept])
        if labels is not given:
            data = replace(data, train=data.train.relabelled(labels.numpy()))  # type: ignore[arg-type]
    if task.scored_on == "train":
        order = torch.randperm(len(data.train), generator=stream(*name, "evaluated")).numpy()
        data = replace(data, test=data.train.part(np.sort(order[: len(data.test)])))  # type: ignore[arg-type]
    return data
