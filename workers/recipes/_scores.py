"""The names of the zero-cost proxies, as recipes need them: without torch.  What each computes: workers/scores."""

PROXIES = (
    "params",
    "flops",
    "grad_norm",
    "snip",
    "grasp",
    "fisher",
    "synflow",
    "jacov",
    "nwot",
    "zen",
    "l2_norm",
    "plain",
    "epe_nas",
)
WITHOUT_IMAGES = frozenset({"params", "flops", "synflow", "zen", "l2_norm"})
ALIASES = {  # names in other publications and programs
    "jacob_cov": "jacov",
    "naswot": "nwot",
    "zen_score": "zen",
    "zennas": "zen",
    "gradnorm": "grad_norm",
    "l2norm": "l2_norm",
    "epenas": "epe_nas",
    "epe": "epe_nas",
    "macs": "flops",
}


def canonical(name: str) -> str | None:
    """The name that is stored, of a name or an alias; None for an unknown one."""
    name = ALIASES.get(name, name)
    return name if name in PROXIES else None
