#!/usr/bin/env bash
# Onboards one organization: shows the plan, then runs it. Reads no secret value.
#
# Settings: ORG, MODE=plan (the plan alone), STACK, AWS_REGION, AWS_PROFILE.
set -euo pipefail
# shellcheck source=infra/common.sh
. "$(dirname "$0")/../common.sh"

need_aws
need jq 'install jq (https://jqlang.org); it parses the responses of the function'
organization="${ORG:-}"
case "$organization" in
    '') fail 'ORG is not set: name the Docker Hub organization, as in make onboard ORG=acme' ;;
    *[!a-z0-9._-]*) fail "ORG=$organization is not the name of a Docker Hub organization: write it in lower case" ;;
esac
mode="${MODE:-apply}"
case "$mode" in
    plan | apply) ;;
    *) fail "MODE=$mode is not valid: use MODE=plan, or leave it out" ;;
esac
aws_login
read_outputs
function_name="$(must_output FunctionName)"
function_arn="$(must_output FunctionArn)"
prefix="$(must_output SecretNamePrefix)"
secret="$prefix$organization"
case "$prefix" in
    */) manager_secret="${prefix%/}-manager/$organization" ;;
    *) manager_secret="managers/$prefix$organization" ;;
esac

# How to create the secret. No command contains a token or password, so neither the shell's history nor a process list shows one.
how_to_make_it() {
    cat <<HOW

Make it in one of two ways. What is typed after read -rs is not shown, and goes through a pipe. Put your own names and ids in.

1. hubkeeper makes the tokens: first the login of the dedicated user (the manager secret, outside of the prefix), then the secret.
   The stack's parameter ManagerSecretArns has to allow the manager secret.

   read -rs password
   printf '%s\n' "\$password" | jq -R '{username: "$organization-scanner", password: ., usedBy: ["$secret"]}' |
       aws secretsmanager create-secret --region $region --name $manager_secret \\
           --secret-string file:///dev/stdin --query ARN --output text
   unset password

   aws secretsmanager create-secret --region $region --name $secret --secret-string '{
     "organization": "$organization", "username": "$organization-scanner",
     "manager": "<the ARN that the first command printed>",
     "connector": {"subscriptionId": "<uuid>", "resourceGroup": "rg-security", "name": "dockerhub-$organization", "location": "westeurope"}
   }'

2. You made a read-only token at Docker Hub:

   read -rs token
   printf '%s\n' "\$token" | jq -R '{
     organization: "$organization", username: "$organization-scanner", accessToken: ., expiresAt: "<when it ends, RFC 3339>",
     connector: {subscriptionId: "<uuid>", resourceGroup: "rg-security", name: "dockerhub-$organization", location: "westeurope"}
   }' |
       aws secretsmanager create-secret --region $region --name $secret --secret-string file:///dev/stdin
   unset token

HOW
}

if ! try aws secretsmanager describe-secret --secret-id "$secret" --query '[ARN, RotationEnabled, DeletedDate]' --output text; then
    case "$complaint" in
        *ResourceNotFoundException*)
            how_to_make_it >&2
            fail "there is no secret $secret in $region of account $account: create it as above, then run this again"
            ;;
        *) fail "the secret $secret cannot be read: $complaint" ;;
    esac
fi
IFS=$'\t' read -r arn rotates deleted <<<"$answer"
[ "$deleted" = None ] ||
    fail "the secret $secret is scheduled for deletion ($deleted): restore it (aws secretsmanager restore-secret --secret-id $secret), then run this again"

say "account    $account"
say "Region     $region"
say "function   $function_name"
say "secret     $arn"
case "$mode" in
    plan) say 'does       asks the function for its plan; nothing is written' ;;
    apply) say 'does       asks the function for its plan, then lets it run: it proves the token and writes the connector' ;;
esac

# invoke EVENT: writes the function's response to $work/answer.json, and exits on a function error. Onboarding may take minutes:
# by default the CLI times out after one and sends the event again.
invoke() {
    export AWS_MAX_ATTEMPTS=1
    try aws lambda invoke --function-name "$function_name" --cli-binary-format raw-in-base64-out --cli-read-timeout 930 \
        --payload "$1" --query FunctionError --output text "$work/answer.json" ||
        fail "the function cannot be invoked: $complaint"
    if [ "$answer" != None ]; then
        say '' >&2
        jq -r '"errorType     \(.errorType // "none")", "errorMessage  \(.errorMessage // "none")"' "$work/answer.json" >&2 ||
            fail "the function failed ($answer), and its response is not JSON: see make logs"
        fail "$secret was not onboarded: do what errorMessage names, then run this again (more: make logs ORG=$organization)"
    fi
}

# Formats reports for people. Unknown fields are shown unchanged.
# shellcheck disable=SC2016
readable='
def short: .[0:8];
def in_words:
  if .step == "tagManaged" then "tag the secret hubkeeper = managed"
  elif .step == "tagInvite" then "tag the secret hubkeeper-invite = \(.state)"
  elif .step == "invite" then "invite the dedicated user as \(.role)\(if .team then " into the team \(.team)" else "" end)"
  elif .step == "resend" then "let Docker Hub send the invitation again"
  elif .step == "setRole" then "give the dedicated user the role \(.role)"
  elif .step == "addToTeam" then "take the dedicated user into the team \(.team)"
  elif .step == "mintToken" then "make a read-only token at Docker Hub, and store it as version \(.version | short) (\(.label))"
  elif .step == "revokeStrays" then "revoke tokens of version \(.version | short) that are not the stored one"
  elif .step == "stageCandidate" then "label version \(.version | short) HUBKEEPER_CANDIDATE"
  elif .step == "prove" then "prove the token of version \(.version | short)"
  elif .step == "writeConnector" then "\(if .create then "create" else "update" end) the connector with version \(.version | short), and read it back"
  elif .step == "moveCurrent" then "move AWSCURRENT from version \(.from | short) to version \(.to | short)"
  elif .step == "unstage" then "take HUBKEEPER_CANDIDATE off version \(.from | short)"
  else tojson end;
def row(name): "\(name + "           " | .[0:11])\(.)";
(.outcome + if .reason then ": " + .reason else "" end | row("outcome")),
(.verdict // empty | "\(.result): \(.repositories) repositories, \(.private) of them private" | row("verdict")),
(.verdict // empty | select(.missingCount > 0) | "\(.missingCount): \(.missing | join(", "))" | row("missing")),
(.connector // empty | "\(.change) \(.id)" | row("connector")),
(.tokens.minted // empty | row("new token")),
(.tokens.expiresAt // empty | row("expires")),
((.plan // []) | to_entries[] | "\(.key + 1). \(.value | in_words)" | row("step")),
((.warnings + (.verdict.warnings // [])) | unique[] | "\(.code): \(.message)" | row("warning"))'

show() {
    say ''
    say "$1"
    jq -r "$readable" "$work/answer.json" || fail 'the response of the function is not a report: see make logs'
}

invoke "{\"action\": \"onboard\", \"secretId\": \"$arn\", \"mode\": \"plan\"}"
show 'the plan'
[ "$mode" = apply ] || exit 0
if [ "$(jq -r .outcome "$work/answer.json")" != unchanged ]; then
    invoke "{\"action\": \"onboard\", \"secretId\": \"$arn\"}"
    show 'what was done'
fi

if [ "$rotates" != True ]; then
    say ''
    say 'Rotation of this secret is off. If it names a manager, turn it on, without an immediate rotation:'
    say "    aws secretsmanager rotate-secret --region $region --secret-id $arn \\"
    say "        --rotation-lambda-arn $function_arn \\"
    say "        --rotation-rules '{\"AutomaticallyAfterDays\": 30}' --no-rotate-immediately"
    say 'Without a manager leave it off, and stage the next token as HUBKEEPER_CANDIDATE before this one expires.'
fi
