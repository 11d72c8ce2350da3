"""Published DARTS cells by name, as their papers and releases describe them."""

_BY_NAME = {
    # Liu et al., ICLR 2019: first and second order.
    "darts_v1": "s3.1+s3.0_sk.0+s3.1_sk.0+s3.1_s3.0+sk.2:mp.0+mp.1_sk.2+mp.0_mp.0+sk.2_sk.2+ap.0",
    "darts_v2": "s3.0+s3.1_s3.0+s3.1_s3.1+sk.0_sk.0+d3.2:mp.0+mp.1_sk.2+mp.1_mp.0+sk.2_sk.2+mp.1",
    # Xu et al., ICLR 2020: searched on CIFAR-10 and on ImageNet.
    "pc_darts_cifar": "s3.1+sk.0_s3.0+d3.1_s5.0+s3.1_ap.0+d3.1:s5.1+mp.0_s5.1+s5.2_s3.0+s3.3_s3.1+s3.2",
    "pc_darts_imagenet": "sk.1+s3.0_s3.0+sk.1_s3.1+s3.3_s3.1+d5.4:s3.0+sk.1_d5.2+mp.1_s3.2+s3.1_s5.0+s3.3",
    # Chen et al., ICCV 2019.
    "p_darts": "sk.0+d3.1_sk.0+s3.1_s3.1+s3.3_s3.0+d5.4:ap.0+s5.1_s3.0+d5.2_mp.0+d3.1_d3.1+d5.3",
    # Zhang et al., CVPR 2021 (RLNAS): searched with random labels on CIFAR-10, and on ImageNet without a limit and with
    # at most 600 M multiply-adds.
    "rlnas_cifar": "s5.0+s3.1_d3.0+s5.2_s3.0+d5.3_d5.1+d3.2:s5.0+d3.1_s3.0+s5.2_d3.1+s3.3_mp.1+s5.2",
    "rlnas_imagenet": "s3.0+s3.1_s3.1+s3.2_s3.0+s5.1_s3.0+s3.1:s3.0+s3.1_s5.0+s3.2_s5.0+s5.2_s3.2+s3.4",
    "rlnas_imagenet_600m": "s3.0+s3.1_sk.1+s3.2_s3.1+s3.2_sk.0+s3.4:s3.0+mp.1_s3.0+sk.1_s3.0+d3.1_sk.0+s3.1",
    # Liu et al., ECCV 2020 (UnNAS): searched on a dataset with a task as the objective.
    "imagenet_cls": "s3.1+s3.0_s3.1+s3.0_s3.0+s3.2_s5.1+s3.0:mp.0+sk.1_mp.0+d5.2_mp.0+s3.2_s3.4+d5.3",
    "imagenet_rot": "s3.0+s3.1_s3.0+s3.1_s3.1+s3.0_s3.0+s3.1:s3.1+s3.0_s3.2+s3.1_s3.1+s3.2_s3.4+s5.2",
    "imagenet_col": "sk.0+s3.1_s3.1+sk.0_s3.0+s3.3_s3.0+s3.2:mp.0+s3.1_mp.0+s3.1_mp.0+s5.3_mp.0+s3.4",
    "imagenet_jig": "s3.0+s3.1_s3.0+s3.1_s3.0+s3.3_s3.1+s5.0:s5.0+s3.1_s3.0+s3.1_s3.0+s3.1_s5.0+s3.1",
    "imagenet22k_cls": "s3.1+sk.0_s3.1+s3.2_s3.1+s3.2_s3.1+s3.0:mp.0+mp.1_d5.2+mp.0_d5.3+d5.2_d5.4+d5.3",
    "imagenet22k_rot": "s3.0+s3.1_s3.0+s3.1_s3.0+s3.1_s3.0+s3.1:mp.0+s5.1_d5.2+s5.0_d5.3+s3.2_s3.4+s3.3",
    "imagenet22k_col": "s3.0+s3.1_s3.0+s3.1_s3.2+s3.1_s3.3+s3.0:mp.0+sk.1_d5.2+s3.0_s3.3+s3.0_s3.4+s5.1",
    "imagenet22k_jig": "s3.0+s3.1_s3.0+s3.1_s3.1+s3.0_s3.0+s3.4:s5.0+sk.1_s5.0+s3.2_s5.0+s5.3_s5.0+s5.4",
    "cityscapes_seg": "sk.0+s5.1_s3.1+s3.0_s3.0+s3.1_s3.0+s3.1:s3.0+ap.1_ap.1+s5.0_s3.2+s5.0_s3.4+s5.2",
    "cityscapes_rot": "s3.1+s3.0_s3.2+s3.1_s3.0+s3.3_s3.1+s3.0:mp.0+s5.1_s5.2+s5.1_s5.3+d5.2_s5.2+s5.0",
    "cityscapes_col": "d3.1+s3.0_sk.0+s5.2_d3.3+sk.0_sk.0+s3.1:ap.1+ap.0_ap.1+ap.0_ap.1+ap.0_ap.1+sk.4",
    "cityscapes_jig": "d5.1+s5.0_s3.0+s3.1_s3.0+s3.2_s3.0+d5.1:ap.0+sk.1_d5.1+d5.2_d5.2+d5.0_d5.3+d5.2",
}


def names() -> list[str]:
    """The names of all published cells."""
    return list(_BY_NAME)


def get(name: str) -> str:
    """The architecture of that name; LookupError lists the names."""
    if name not in _BY_NAME:
        raise LookupError(f"no published DARTS cell {name!r}; have {', '.join(_BY_NAME)}")
    return _BY_NAME[name]
