"""Prints the regions of all partitions that botocore knows, one a line."""

import json
import pathlib

import botocore

partitions = json.loads((pathlib.Path(botocore.__file__).parent / "data" / "partitions.json").read_text())
regions = {region for partition in partitions["partitions"] for region in partition["regions"]}
print("\n".join(sorted(region for region in regions if not region.endswith("-global"))))
