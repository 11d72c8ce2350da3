"""The union of the recipes of all methods, and how a stored recipe is read."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag, TypeAdapter

from workers.recipes._candidates import Evolution, RandomSearch
from workers.recipes._models import FACTS, FIRST, Base
from workers.recipes._searches import Darts, DartsMinus, Gdas, PcDarts, PDarts, Snas
from workers.recipes._supernets import OfSupernet, Rlnas, Supernet
from workers.recipes._train import Train
from workers.recipes._untrained import Lookup, Score
from workers.recipes._with_base import Attack


def method_of(recipe: Any) -> str | None:
    """The method of a recipe or of a mapping of its fields (default `train`); None for any other value."""
    found = recipe.method if isinstance(recipe, Base) else None
    if isinstance(recipe, Mapping):
        found = recipe.get("method", FIRST)
    return found if isinstance(found, str) else None


# Add a further method as a line of the union.
AnyRecipe = Annotated[
    Annotated[Train, Tag("train")]
    | Annotated[Score, Tag("score")]
    | Annotated[Lookup, Tag("lookup")]
    | Annotated[Darts, Tag("darts")]
    | Annotated[PcDarts, Tag("pc_darts")]
    | Annotated[Gdas, Tag("gdas")]
    | Annotated[PDarts, Tag("p_darts")]
    | Annotated[Snas, Tag("snas")]
    | Annotated[DartsMinus, Tag("darts_minus")]
    | Annotated[RandomSearch, Tag("random_search")]
    | Annotated[Evolution, Tag("evolution")]
    | Annotated[Supernet, Tag("supernet")]
    | Annotated[Rlnas, Tag("rlnas")]
    | Annotated[OfSupernet, Tag("inherited")]
    | Annotated[Attack, Tag("attack")],
    Discriminator(method_of),
]
_ANY: TypeAdapter[AnyRecipe] = TypeAdapter(AnyRecipe)


def read(name: str, json_text: str) -> AnyRecipe:
    """The recipe with this name and these facts (JSON), of the class of its method; ValueError if it is not valid."""
    facts = FACTS.validate_json(json_text)
    return _ANY.validate_python({"name": current_name(name, facts)} | facts)


def current_name(name: str, facts: Mapping[str, Any]) -> str:
    """Today's name of a recipe that had another name when its rows were stored; any other name as it is.

    `unnas_search` named trainings of single networks before it named the searches, which were `unnas_supernet`.
    """
    if name == "unnas_search" and method_of(facts) == FIRST:
        return "unnas_small"
    return "unnas_search" if name == "unnas_supernet" else name
