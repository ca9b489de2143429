"""Diagnosis: the likely cause of a failed scenario, from its timeline alone. Pure: no cluster, no clock, no network.

facts       what the cluster's objects say, as small dicts that go into the timeline
lint        faults of a release that these facts show before users are moved
scene       what a timeline tells: who answered, what was lost, which pods lived and died
rule        a cause, and what speaks for and against it
rules       the causes
ranking     the likeliest causes of a timeline
"""
