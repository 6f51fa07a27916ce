"""LIMA -> LIMA-Role (paper, section 3.1): ask an annotator, read its replies, audit a sample, publish."""

from .audit import ASPECTS, audit_result, audit_sheet
from .examples import FOUND, REFUSED
from .lima_role import (
    ATTEMPTS,
    CANARY,
    PACKAGED_ANNOTATOR,
    PACKAGED_AUDIT,
    PACKAGED_JOURNAL,
    PACKAGED_ROLES,
    PARAMS,
    TYPICAL_REPLY,
    annotate,
    key,
    outcome,
    packaged_roles,
    params,
    plan,
    report,
)
