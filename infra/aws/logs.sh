#!/usr/bin/env bash
# Shows the function's log.
#
# Settings: STACK, SINCE (1h), FOLLOW=1 (until interrupted), ORG (lines about one organization), AWS_REGION, AWS_PROFILE.
set -euo pipefail
# shellcheck source=infra/common.sh
. "$(dirname "$0")/../common.sh"

need_aws
organization="${ORG:-}"
case "$organization" in
    *[!a-z0-9._-]*) fail "ORG=$organization is not the name of a Docker Hub organization: write it in lower case" ;;
esac
aws_login
read_outputs
log_group="$(must_output LogGroupName)"

arguments=(--since "${SINCE:-1h}" --format short)
about=''
if [ -n "$organization" ]; then
    # the field's name contains a dot
    arguments+=(--filter-pattern "{ \$.['hub.organization'] = \"$organization\" }")
    about=" about $organization"
fi
if [ "${FOLLOW:-}" = 1 ]; then
    arguments+=(--follow)
fi
say "account $account, Region $region: the lines$about of $log_group since ${SINCE:-1h}" >&2
aws logs tail "$log_group" "${arguments[@]}"
