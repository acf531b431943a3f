# shellcheck shell=bash
# What infra/aws/logs.sh needs. It runs from any folder, works with bash 3.2 (macOS) and later, and reads no secret value.
# Settings are environment variables or variables of make's command line; docs/deploy.md lists them.
# shellcheck disable=SC2034 # used by the script that reads this file

me="$(basename "$0")"
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
STACK="${STACK:-hubkeeper}"
export AWS_PAGER=''
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

say() { printf '%s\n' "$*"; }

fail() {
    printf '%s: %s\n' "$me" "$*" >&2
    exit 1
}

# try COMMAND...: output in $answer; on failure the error message, on one line, in $complaint.
try() {
    answer='' complaint=''
    answer="$("$@" 2>"$work/complaint")" && return
    complaint="$(tr -s '[:space:]' ' ' <"$work/complaint")"
    complaint="${complaint# }"
    complaint="${complaint% }"
    complaint="${complaint:0:500}"
    return 1
}

# need TOOL HOW: fails unless the tool is installed.
need() {
    command -v "$1" >/dev/null || fail "$1 is not installed: $2"
}

need_aws() {
    need aws 'install the AWS CLI, version 2 (https://docs.aws.amazon.com/cli/)'
    try aws --version || fail "aws does not run: $complaint"
    case "$answer" in
        aws-cli/1*) fail "this AWS CLI is version 1 (${answer%% *}): install version 2 (https://docs.aws.amazon.com/cli/)" ;;
    esac
}

# The AWS login and its Region: $account, $partition, $region.
aws_login() {
    region="${AWS_REGION:-${AWS_DEFAULT_REGION:-}}"
    if [ -z "$region" ] && try aws configure get region; then
        region="$answer"
    fi
    [ -n "$region" ] || fail 'no AWS Region is set: export AWS_REGION, or run aws configure'
    # tools read one or the other
    export AWS_REGION="$region" AWS_DEFAULT_REGION="$region"
    try aws sts get-caller-identity --query '[Account, Arn]' --output text ||
        fail "there is no AWS login: run aws sso login or aws configure, or set AWS_PROFILE ($complaint)"
    read -r account caller <<<"$answer"
    partition="${caller#arn:}"
    partition="${partition%%:*}"
    case "$account" in
        [0-9]*) ;;
        *) fail "AWS did not name the account: aws sts get-caller-identity returned ${answer:-nothing}" ;;
    esac
}

# The stack's status in $status. It is empty if the stack does not exist.
look_at_stack() {
    status=''
    if try aws cloudformation describe-stacks --stack-name "$STACK" --query 'Stacks[0].StackStatus' --output text; then
        status="$answer"
        if [ "$status" = REVIEW_IN_PROGRESS ]; then
            # a change set was created and never executed
            status=''
        fi
    else
        case "$complaint" in
            *'does not exist'*) ;;
            *) fail "the stack cannot be read: $complaint" ;;
        esac
    fi
}

# The outputs of the stack, for output().
read_outputs() {
    look_at_stack
    [ -n "$status" ] ||
        fail "there is no stack $STACK in $region of account $account: run hubkeeper deploy, or set STACK, AWS_REGION or AWS_PROFILE"
    try aws cloudformation describe-stacks --stack-name "$STACK" --query 'Stacks[0].Outputs[].[OutputKey, OutputValue]' --output text ||
        fail "the outputs of the stack cannot be read: $complaint"
    outputs="$answer"
}

# output NAME: its value. Empty if the stack has no such output.
output() {
    awk -F '\t' -v name="$1" '$1 == name { print $2 }' <<<"$outputs"
}

# must_output NAME: its value. Fails if the stack has no such output.
must_output() {
    local value
    value="$(output "$1")"
    [ -n "$value" ] || fail "the stack $STACK ($status) has no output $1: is it hubkeeper's, and did its deployment succeed?"
    say "$value"
}
