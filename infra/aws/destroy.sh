#!/usr/bin/env bash
# Deletes the stack at AWS and says what remains. Refuses without CONFIRM=<name of the stack>.
#
# Settings: CONFIRM, STACK, AWS_REGION, AWS_PROFILE.
set -euo pipefail
# shellcheck source=infra/common.sh
. "$(dirname "$0")/../common.sh"

need_aws
aws_login
read_outputs
# a stack whose creation failed has parameters, but no outputs
try aws cloudformation describe-stacks --stack-name "$STACK" \
    --query "Stacks[0].Parameters[?ParameterKey=='SecretNamePrefix'].ParameterValue | [0]" --output text ||
    fail "the stack cannot be read: $complaint"
[ "$answer" != None ] || fail "the stack $STACK has no parameter SecretNamePrefix: it is not hubkeeper's"
prefix="$answer"
managed="$(output ManagedSecretArn)"
function_arn="$(output FunctionArn)"

# both filters match by prefix and independently, so the query checks the tag again
try aws secretsmanager list-secrets --filters Key=tag-key,Values=hubkeeper Key=tag-value,Values=managed \
    --query "SecretList[?starts_with(Name, '$prefix') && Tags[?Key=='hubkeeper' && Value=='managed']].[Name, RotationEnabled, RotationLambdaARN]" \
    --output text || fail "the secrets cannot be listed, so it is unknown which of them still need the stack: $complaint"
secrets="$answer"
[ "$secrets" != None ] || secrets=''

say "account  $account"
say "Region   $region"
say "stack    $STACK ($status)"
say "deletes  the function and its role, the triggers and the schedule, both queues with what is in them, the topic and its"
say "         subscriptions, the alarms, the dashboard, and the log group with all its lines"
say "stays    every secret; the connectors in Azure, each with the token that it has now; the identity and the role in Azure;"
say "         the Docker Hub users and their tokens; SAM's bucket"
if [ -n "$managed" ]; then
    say "         (among the secrets: $managed, which the stack created)"
fi
say 'costs    nothing; each secret that stays costs 0.40 USD a month'
if [ -n "$secrets" ]; then
    say ''
    say 'WARNING  These secrets are still managed. Without the stack nothing maintains their connectors: tokens are no longer proven,'
    say '         renewed or retired, and scans end when a token does. Offboard them first, or deploy another stack for them.'
    while IFS=$'\t' read -r name rotates by; do
        note=''
        if [ "$rotates" = True ] && [ "$by" = "$function_arn" ]; then
            note="  its rotation would fail: aws secretsmanager cancel-rotate-secret --secret-id $name --region $region"
        fi
        say "         $name$note"
    done <<<"$secrets"
fi
say ''
[ "${CONFIRM:-}" = "$STACK" ] || fail "nothing was deleted: to delete all of this, run it again with CONFIRM=$STACK"

try aws cloudformation delete-stack --stack-name "$STACK" || fail "the stack cannot be deleted: $complaint"
say "deleting $STACK, which takes some minutes"
if ! try aws cloudformation wait stack-delete-complete --stack-name "$STACK"; then
    waited="$complaint"
    try aws cloudformation describe-stack-events --stack-name "$STACK" \
        --query "StackEvents[?ResourceStatus=='DELETE_FAILED'].[LogicalResourceId, ResourceStatusReason]" --output text || true
    [ -z "$answer" ] || say "$answer" >&2
    fail "the stack is not deleted: fix the errors above, then run this again ($waited)"
fi
say "deleted $STACK"
say 'To remove the rest: infra/azure/README.md, "Remove", for Azure; aws secretsmanager delete-secret for each secret.'
