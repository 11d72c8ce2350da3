"""How searches are drawn: a colour for each objective's task, as on the rest of the page, and dashes for the others."""

import pandas as pd

from analysis import names
from analysis.drawing.palette import Look, Looks

_GROUP = ["objective_dataset_id", "objective_task", "algorithm"]


class SearchLooks:
    """The looks and names of the searches in a table with objective and algorithm."""

    def __init__(self, table: pd.DataFrame) -> None:
        groups = table[_GROUP].astype(str).drop_duplicates().itertuples(index=False, name=None)
        self._turns: dict[tuple[str, str, str], int] = {}
        counts: dict[str, int] = {}
        for dataset_id, task, algorithm in groups:
            self._turns[dataset_id, task, algorithm] = counts.get(task, 0)
            counts[task] = counts.get(task, 0) + 1
        self._looks = Looks(("", "", task, "") for task in counts)
        self._several = table["objective_dataset_id"].nunique() > 1

    def task(self, task: object) -> Look:
        """The colour of an objective's task."""
        return self._looks.task(task)

    def group(self, dataset_id: object, task: object, algorithm: object) -> Look:
        """The look of the searches that differ in their seed alone."""
        turn = self._turns[str(dataset_id), str(task), str(algorithm)]
        return Look(self._looks.task(task).hue, turn)

    def called(self, dataset: object, task: object) -> str:
        """The name of an objective, with the dataset's where there are several."""
        name = names.task_name(str(task))
        return f"{names.dataset_name(str(dataset))} {name}" if self._several else name
