"""Why users weren't where the cutover pointed them."""

from __future__ import annotations

import re

import numpy as np

from harness.diagnosis.lint import one_sided, target_known
from harness.diagnosis.rule import Case, known_lint, rule
from harness.diagnosis.scene import Scene
from harness.evidence.losses import answered_mask

SETTLED_S = 1.0
"""A slice that lasts this long isn't the moment of a flip."""


def _moved(scene: Scene, case: Case) -> bool:
    return case.needs(scene.moved_ns is not None, "users were pointed at the new side", "users were never moved")


def _hurt(scene: Scene) -> int:
    return len(scene.lost) + len(scene.late)


@rule(
    "selector-misspelt", "T1", symptom="nobody is served once the selector has changed",
    cause="the Service selects no pod at all: its selector and the pods' labels don't agree",
    mend="compare the Service's selector with the labels of the side's pods, letter by letter",
)  # fmt: skip
def selector_misspelt(scene: Scene, case: Case) -> None:
    if known_lint(scene, case, "selector-misspelt"):
        return
    _moved(scene, case)
    empty = [one for one in scene.slices if one.fields.get("addresses") == 0]
    case.needs(empty, "the Service had no endpoint", "the Service always had endpoints", 2)
    values = [one.fields.get("value") for one in scene.selections]
    strange = [value for value in values if value is not None and value not in scene.all_facts.sides]
    matched = (scene.facts.users.get("matches") or {}).get(scene.new)
    case.speaks(
        strange or matched == [], f"the selector {strange[0]!r} is no side" if strange
        else "no Deployment's pods carry the labels that it selects", "a Deployment has pods with those labels", 2,
    )  # fmt: skip
    case.contradicts(scene.pods(scene.new) and _all_gone(scene), "the side's pods were taken away")


def _all_gone(scene: Scene) -> bool:
    return all(pod.gone_ns is not None for pod in scene.pods(scene.new))


@rule(
    "selector-empty", "T1", symptom="the Service no longer follows its pods",
    cause="the Service has no selector: nobody keeps its endpoints, and pods that go stay in it",
    mend="give the Service its selector back; change its value only, never the whole of it",
)  # fmt: skip
def selector_empty(scene: Scene, case: Case) -> None:
    if known_lint(scene, case, "selector-empty"):
        return
    empty = [one for one in scene.selections if one.fields.get("selector") == {}]
    case.needs(empty, "the Service was seen without any selector", "the Service always had a selector", 4)
    case.speaks(_hurt(scene), f"{_hurt(scene)} requests were lost or late")


@rule(
    "selector-too-wide", "T2", symptom="both versions answer after the cutover",
    cause="the Service selects pods of more than one side or Deployment",
    mend="select by the color as well, and let no other Deployment carry the same labels",
)  # fmt: skip
def selector_too_wide(scene: Scene, case: Case) -> None:
    if known_lint(scene, case, "selector-too-wide"):
        return
    smoke = scene.refused("smoke")
    if smoke:
        internal = next((one for one in scene.facts.services.values() if one["role"] == scene.new), {})
        found = (internal.get("matches") or {}).get(scene.new) or []
        case.needs(len(found) > 1, f"the side's own Service selects {', '.join(found)}", "it selects one Deployment", 4)
        return
    _moved(scene, case)
    wide = [one for one in scene.selections if one.fields.get("value") is None and one.fields.get("selector") != {}]
    matched = (scene.facts.users.get("matches") or {}).get(scene.new) or []
    mixed = [one for one in scene.slices if sum(1 for count in one.fields["sides"].values() if count) > 1]
    case.needs(
        (wide or len(matched) > 1 or mixed) and not _emptied(scene),
        f"it selects {', '.join(matched)}" if len(matched) > 1 else "its endpoints are of more than one side",
        "its endpoints were of one side only", 2,
    )  # fmt: skip
    case.speaks(wide, "the side is no part of its selector", "", 2)
    both = scene.answers_of(scene.fresh_after)
    case.speaks(len(both) > 1, f"answers came from {', '.join(sorted(both))}", "one version alone answered")


def _emptied(scene: Scene) -> bool:
    return any(one.fields.get("selector") == {} for one in scene.selections)


@rule(
    "wrong-target-port", "T1", symptom="the side's pods are ready, and no connection to them is taken",
    cause="the Service leads to a port that the side's containers don't have",
    mend="let targetPort name the container's port, and keep the name the same on both sides",
)  # fmt: skip
def wrong_target_port(scene: Scene, case: Case) -> None:
    if known_lint(scene, case, "wrong-target-port"):
        return
    smoke = scene.refused("smoke")
    wanted = ("users",) if not smoke else (scene.new,)
    wrong = [
        one for one in scene.facts.services.values() if one["role"] in wanted and not target_known(one, scene.here)
    ]
    case.needs(
        wrong and scene.here, f"Service {wrong[0]['service']} leads to port {wrong[0]['target']}" if wrong else "",
        "the Services lead to ports that the containers have", 3,
    )  # fmt: skip
    case.needs(smoke or scene.moved_ns is not None, "the new side was asked", "the new side was never asked")
    case.speaks(
        scene.no_answer or len(scene.late) or "Connect" in smoke, "connections weren't taken", "connections were taken"
    )


@rule(
    "second-writer", "M5", symptom="users are back on the old version, and nobody has rolled back",
    cause="somebody else writes the Service's selector too: a person, a chart, or GitOps that restores it",
    mend="let one writer move the switch; have the others leave that field alone",
)  # fmt: skip
def second_writer(scene: Scene, case: Case) -> None:
    _moved(scene, case)
    rolled = [move for move in scene.timeline.moves() if move.move == "rollback" and move.sent_ns is not None]
    since = scene.moved_ns or 0
    back = [one for one in scene.selections if one.t > since and one.fields.get("value") == scene.old]
    case.needs(
        back and not rolled and scene.move is not None, "the selector went back without a rollback",
        "the selector stayed, or was put back by a rollback", 3,
    )  # fmt: skip


@rule(
    "endpoints-not-updated", "T2", symptom="the cutover was acknowledged, and users stay on the old version",
    cause="nobody turns the new selector into endpoints: the controller is stalled or overloaded",
    mend="look at kube-controller-manager; watch the EndpointSlices, not the patch's answer",
)  # fmt: skip
def endpoints_not_updated(scene: Scene, case: Case) -> None:
    _moved(scene, case)
    stopped = scene.timeline.first("load.stopped")
    end = stopped.t if stopped else scene.timeline.end_ns
    met = [one for one in scene.slices if one.t <= end]  # what came later no user was there to see
    here = [one for one in met if one.fields["sides"].get(scene.new)]
    case.needs(not here, "users saw no endpoint of the new side in the Service", "endpoints of the new side came in", 2)
    case.contradicts(met and not here, "endpoints changed, though not to the new side's")
    case.needs(not scene.new_answers, "the new version never answered", "the new version answered")
    old = scene.answers_of(scene.fresh_after)[scene.revisions[0]]
    case.speaks(old, f"the old version answered {old} times after it", "the old version didn't go on answering", 2)
    case.contradicts(_emptied(scene), "the Service has no selector")


@rule(
    "revision-header-wrong", "M6", symptom="the new side answers under another version's name",
    cause="what runs on the new side isn't, or doesn't call itself, the version that was deployed",
    mend="build the version into the image once; let no variable override it; deploy by digest",
)  # fmt: skip
def revision_header_wrong(scene: Scene, case: Case) -> None:
    smoke = scene.refused("smoke")
    if smoke:
        other = re.search(r"revision \S+, expected", smoke)
        case.needs(other, f"smoke said: {smoke[:150]}", "smoke saw the version", 3)
        return
    _moved(scene, case)
    mine = {pod.pod for pod in scene.pods(scene.new)}
    ids = [number for number, text in enumerate(scene.timeline.strings) if text in mine]
    after = scene.fresh_after[answered_mask(scene.fresh_after)]
    told = after[np.isin(after["pod"], ids)]
    wrong = int(np.count_nonzero(told["revision"] != scene.timeline.id_of(scene.revisions[1])))
    case.needs(
        wrong,
        f"{wrong} answers by the new side's pods name another version",
        "the new side's pods name their version",
        3,
    )


@rule(
    "networkpolicy-one-side", "S1", symptom="the new side is ready, and users can't reach it",
    cause="a NetworkPolicy is about one of the sides alone",
    mend="write policies for what both sides share, never for a color",
)  # fmt: skip
def networkpolicy_one_side(scene: Scene, case: Case) -> None:
    if known_lint(scene, case, "networkpolicy-one-side"):
        return
    found = one_sided(scene.facts, scene.old, scene.new)
    case.needs(
        found, f"NetworkPolicy {found[0]['policy']} is about {found[0]['sides'][0]} alone" if found else "",
        "no NetworkPolicy is about one side alone", 3,
    )  # fmt: skip
    smoke = scene.refused("smoke")
    case.needs(smoke or scene.moved_ns is not None, "the new side was asked", "the new side was never asked")
    hurt = scene.no_answer + len(scene.late) + scene.errors["proxy_5xx"]
    case.speaks(hurt or "Connect" in smoke or "Timeout" in smoke, "connections to it weren't taken", "they were taken")
    case.contradicts(scene.errors["app_5xx"], "the application itself answered with errors")


@rule(
    "local-traffic-policy", "T1", symptom="users who enter through some of the nodes are lost",
    cause="externalTrafficPolicy is Local, and those nodes have no pod of the new side",
    mend="set it to Cluster, or spread both sides over the same nodes",
)  # fmt: skip
def local_traffic_policy(scene: Scene, case: Case) -> None:
    users = scene.all_facts.users
    case.needs(users.get("traffic_policy") == "Local", "externalTrafficPolicy is Local", "it is Cluster", 2)
    _moved(scene, case)
    after = scene.fresh_after
    bad = set(np.unique(after["entry"][~answered_mask(after)]).tolist())
    bad |= set(np.unique(scene.late["entry"]).tolist())
    good = set(np.unique(after["entry"][answered_mask(after)]).tolist()) - bad
    names = ", ".join(scene.timeline.node(int(one)) for one in sorted(bad))
    case.needs(bad, f"requests through {names} were lost or late", "requests came through every node")
    case.speaks(good, "requests through the other nodes were not", "requests through all nodes were")
    held = scene.slices[-1].fields.get("nodes") or {} if scene.slices else {}
    empty = [scene.timeline.node(int(one)) for one in bad if scene.timeline.node(int(one)) not in held]
    case.speaks(empty, f"no pod of the side is on {', '.join(empty)}", "", 2)


@rule(
    "long-lived-connections", "T2", symptom="some users stay on the old version after the cutover",
    cause="their connections were open before: a flip moves new connections only",
    mend="drain the old side, so that it asks clients to come again; keep keep-alive times short",
)  # fmt: skip
def long_lived_connections(scene: Scene, case: Case) -> None:
    _moved(scene, case)
    case.needs("only" in scene.failed, "answers of the old version were counted against it", "no old answer was")
    after = scene.answers_of(scene.fresh_after)
    late = scene.timeline.samples
    late = late[(late["sent"] > (scene.moved_ns or 0)) & (late["nth"] > 1)]
    stayed = scene.answers_of(late)[scene.revisions[0]]
    case.needs(stayed, f"{stayed} answers on kept connections are the old version's", "kept connections moved", 2)
    case.needs(
        scene.new_answers > 10 * after[scene.revisions[0]], "new connections reach the new version",
        "new connections reach the old version too",
    )  # fmt: skip
    case.contradicts(len(scene.lost), "requests were lost")
