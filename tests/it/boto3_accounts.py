"""What copies and shares have left behind, as boto3 sees it with the credentials of each account.

Usage: boto3_accounts.py ENDPOINT ROUND ACCOUNTS FOREIGN
    ROUND     how many runs there were: as many images of each instance, and as many copies in each place
    ACCOUNTS  the accounts of [share], with a comma between
    FOREIGN   IMAGE=ACCOUNT: who was let in by hand, or nothing
Exit 0 and `ok: N checks` on stdout, or a traceback that names the check. The friend makes copies of its own.
"""

import os
import re
import sys
import time

os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
for name in ("AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ENDPOINT_URL"):
    os.environ.pop(name, None)

import boto3  # noqa: E402 (after the environment is clean)
from botocore.config import Config  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402

HOME, DR, FRIEND, MEMBER, STRANGER = "111111111111", "222222222222", "333333333333", "555555555555", "666666666666"
HERE, AWAY, FAR = "eu-central-1", "eu-west-1", "eu-west-3"
ROLE, EXTERNAL_ID = f"arn:aws:iam::{DR}:role/stillframe", "open-sesame"
ORGANIZATION = "arn:aws:organizations::999999999999:organization/o-abc"
TARGETS = 2
# A copy takes a second or two; only a world that stands still gets there.
PATIENCE_SECONDS = 120

ENDPOINT, ROUND, ACCOUNTS, FOREIGN = sys.argv[1:]
ROUND = int(ROUND)
ACCOUNTS = set(ACCOUNTS.split(","))
checks = 0


def same(got, want, what):
    global checks
    assert got == want, f"{what}: got {got!r}, want {want!r}"
    checks += 1


def true(condition, what):
    same(bool(condition), True, what)


def client(service, region, credentials):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name=region,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=30),
        **credentials,
    )


def root(account):
    """An account's own credentials."""
    return {"aws_access_key_id": account, "aws_secret_access_key": "simulated"}


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        return same(error.response["Error"]["Code"], code, f"{call.__name__} {arguments}")
    raise AssertionError(f"{call.__name__} {arguments} was not refused with {code}")


def role():
    """The credentials of the role that stillframe assumes, with the external id and not without it."""
    sts = client("sts", AWAY, root(HOME))
    wanted = {"RoleArn": ROLE, "RoleSessionName": "boto3"}
    refused("AccessDenied", sts.assume_role, **wanted)
    refused("AccessDenied", sts.assume_role, **wanted, ExternalId="guessed")
    stranger = client("sts", AWAY, root(STRANGER))
    refused("AccessDenied", stranger.assume_role, **wanted, ExternalId=EXTERNAL_ID)
    given = sts.assume_role(**wanted, ExternalId=EXTERNAL_ID)["Credentials"]
    return {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }


def flt(name, *values):
    return [{"Name": name, "Values": list(values)}]


def as_dict(listed):
    return {tag["Key"]: tag["Value"] for tag in listed}


def entries(permissions):
    """The grantees of a permission; each entry names one."""
    true(all(len(entry) == 1 for entry in permissions), "an entry names one")
    return sorted(value for entry in permissions for value in entry.values())


def grants(kms, key):
    found = []
    for page in kms.get_paginator("list_grants").paginate(KeyId=key):
        found += page["Grants"]
    return found


class Place:
    """Our images in one account and region."""

    def __init__(self, account, region, alias, credentials):
        self.account, self.region = account, region
        self.ec2 = client("ec2", region, credentials)
        self.kms = client("kms", region, credentials)
        self.key = self.kms.describe_key(KeyId=alias)["KeyMetadata"]["Arn"]
        listed = self.ec2.describe_images(Owners=["self"], IncludeDisabled=True)["Images"]
        self.images = {image["ImageId"]: image for image in listed}

    def __str__(self):
        return f"{self.account}/{self.region}"

    def snapshots(self, image):
        ids = [mapping["Ebs"]["SnapshotId"] for mapping in image["BlockDeviceMappings"]]
        return self.ec2.describe_snapshots(SnapshotIds=ids)["Snapshots"]

    def check(self, sources):
        """All images are as they should be; `sources` are those they are copied from, if they are copies."""
        same(len(self.images), TARGETS * ROUND, f"images in {self}, and no other")
        same(
            len(self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]),
            2 * len(self.images),
            f"snapshots in {self}, and no other",
        )
        for image in self.images.values():
            self.check_image(image, sources)
        mine = {f"arn:aws:iam::{account}:root" for account in ACCOUNTS - {self.account}}
        listed = grants(self.kms, self.key)
        same({grant["GranteePrincipal"] for grant in listed}, mine, f"whom {self.key} is lent to")
        same(len(listed), len(mine), "one grant each")
        true(all(grant["Name"].startswith("stillframe-it-") for grant in listed), "by name")

    def check_image(self, image, sources):
        who = f"{image['ImageId']} in {self}"
        same((image["State"], image["OwnerId"], image["Public"]), ("available", self.account, False), who)
        tags = as_dict(image["Tags"])
        lent = tags.pop("stillframe:lent")
        same(set(lent.split()), ACCOUNTS - {self.account} | {"o-abc"}, f"whom the tag of {who} names")
        same(
            sorted(set(tags)),
            sorted(
                ["Name", "Team"]
                + [
                    f"stillframe:{key}"
                    for key in "consistency daemon due installation instance plan role run schema".split()
                    + (["source"] if sources else [])
                ]
            ),
            f"the tags of {who}",
        )
        due = re.sub("[-:]", "", tags["stillframe:due"])
        name = f"stillframe/it/nightly/{tags['stillframe:instance']}/{due}"
        if sources:
            source = sources[tags["stillframe:source"]]
            same((image["SourceImageId"], image["SourceImageRegion"]), (source["ImageId"], HERE), f"the source of {who}")
            theirs = as_dict(source["Tags"])
            for key in "daemon due installation instance plan run".split():
                same(tags[f"stillframe:{key}"], theirs[f"stillframe:{key}"], f"{key} of {who}")
            same(tags["stillframe:role"], "copy", f"the role of {who}")
            true(re.fullmatch(re.escape(name) + "/[0-9a-f]{8}", image["Name"]), f"{image['Name']} of {who}")
        else:
            same((tags["stillframe:role"], image["Name"]), ("image", name), f"role and name of {who}")
        given = {FOREIGN.split("=")[1]} if FOREIGN.startswith(image["ImageId"]) else set()
        listed = self.ec2.describe_image_attribute(ImageId=image["ImageId"], Attribute="launchPermission")
        want = sorted(ACCOUNTS - {self.account} | {ORGANIZATION} | given)
        same(entries(listed["LaunchPermissions"]), want, f"who may launch {who}")
        snapshots = self.snapshots(image)
        same(len(snapshots), 2, f"snapshots of {who}")
        for snapshot in snapshots:
            what = f"{snapshot['SnapshotId']} of {who}"
            same((snapshot["State"], snapshot["Encrypted"], snapshot["KmsKeyId"]), ("completed", True, self.key), what)
            theirs = as_dict(snapshot["Tags"])
            same(set(theirs.pop("stillframe:lent").split()), ACCOUNTS - {self.account}, f"whom the tag of {what} names")
            same(theirs, tags, f"the tags of {what}")
            listed = self.ec2.describe_snapshot_attribute(
                SnapshotId=snapshot["SnapshotId"], Attribute="createVolumePermission"
            )
            same(
                entries(listed["CreateVolumePermissions"]),
                sorted(ACCOUNTS - {self.account}),
                f"who may make volumes of {what}",
            )


def visible(ec2, images):
    """Those of `images` that somebody sees who asks for them."""
    listed = ec2.describe_images(Filters=flt("image-id", *images))["Images"]
    return {image["ImageId"] for image in listed}


def takes(account, region, image, **more):
    """An account makes a copy of its own of what is shared with it, and it is its own in the end."""
    ec2 = client("ec2", region, root(account))
    name = f"ours/{time.time_ns()}"
    copy = ec2.copy_image(SourceImageId=image, SourceRegion=region, Name=name, **more)["ImageId"]
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = ec2.describe_images(Owners=["self"], Filters=flt("image-id", copy))["Images"][0]
        if found["State"] != "pending":
            break
        assert time.monotonic() < deadline, f"{copy} stays pending"
        time.sleep(0.05)
    same((found["State"], found.get("StateReason")), ("available", None), f"{account}'s copy of {image}")
    ids = [mapping["Ebs"]["SnapshotId"] for mapping in found["BlockDeviceMappings"]]
    kms = client("kms", region, root(account))
    key = kms.describe_key(KeyId=more.get("KmsKeyId", "alias/aws/ebs"))["KeyMetadata"]["Arn"]
    for snapshot in ec2.describe_snapshots(SnapshotIds=ids)["Snapshots"]:
        same((snapshot["OwnerId"], snapshot["KmsKeyId"]), (account, key), f"{account}'s {snapshot['SnapshotId']}")


def main():
    home = Place(HOME, HERE, "alias/own", root(HOME))
    home.check(None)
    for place in (
        Place(HOME, AWAY, "alias/away", root(HOME)),
        Place(HOME, FAR, "alias/ebs", root(HOME)),
        Place(DR, AWAY, "alias/backup", role()),
    ):
        place.check(home.images)
        for account in ACCOUNTS - {place.account}:
            ec2 = client("ec2", place.region, root(account))
            same(visible(ec2, place.images), set(place.images), f"what {account} sees in {place}")
    for key in ("alias/lend",):
        same(grants(home.kms, home.kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"]), [], f"whom {key} is lent to")

    # Who was let in for its copy alone is out again.
    dr = client("ec2", HERE, root(DR))
    shared = DR in ACCOUNTS
    same(visible(dr, home.images), set(home.images) if shared else set(), "what the account of the copies sees")
    source = next(iter(home.images))
    if not shared:
        refused("InvalidAMIID.NotFound", dr.copy_image, SourceImageId=source, SourceRegion=HERE, Name="ours")

    # The friend finds what is shared with it, and can copy it: under its own key, and under its account's default.
    friend = client("ec2", HERE, root(FRIEND))
    listed = friend.describe_images(ExecutableUsers=["self"])["Images"]
    same({image["ImageId"] for image in listed}, set(home.images), "what the friend is let in to")
    true(all("Tags" not in image or not image["Tags"] for image in listed), "tags are not shared")
    takes(FRIEND, HERE, source, Encrypted=True, KmsKeyId="alias/friend")
    takes(FRIEND, HERE, source)

    # A member of the organization may launch, and not copy; a stranger sees nothing.
    member = client("ec2", HERE, root(MEMBER))
    same(visible(member, home.images), set(home.images), "what a member of the organization sees")
    refused("InvalidRequest", member.copy_image, SourceImageId=source, SourceRegion=HERE, Name="ours")
    same(visible(client("ec2", HERE, root(STRANGER)), home.images), set(), "what a stranger sees")
    print(f"ok: {checks} checks")


if __name__ == "__main__":
    main()
