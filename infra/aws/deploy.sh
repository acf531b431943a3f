#!/usr/bin/env bash
# Builds the function and deploys it with its resources as one CloudFormation stack.
#
# Settings: STACK, ARCH (arm64 or x86_64), PARAMETERS ("Name=value ..."), YES=1 (no question), AWS_REGION, AWS_PROFILE.
# samconfig.toml holds the parameters. PARAMETERS and ARCH override it.
set -euo pipefail
# shellcheck source=infra/common.sh
. "$(dirname "$0")/../common.sh"
cd "$root"

need_aws
need sam 'install the AWS SAM CLI (https://docs.aws.amazon.com/serverless-application-model/)'
need cargo 'install Rust with rustup (https://rustup.rs)'
try cargo lambda --version || fail 'cargo lambda is not installed: pip install cargo-lambda, or see https://www.cargo-lambda.info'
aws_login

# set_parameter NAME=VALUE: replaces an earlier value
parameters=()
set_parameter() {
    local each kept
    kept=()
    for each in ${parameters[@]+"${parameters[@]}"}; do
        [ "${each%%=*}" = "${1%%=*}" ] || kept+=("$each")
    done
    parameters=(${kept[@]+"${kept[@]}"} "$1")
}

# parameter NAME: its value
parameter() {
    local each
    for each in ${parameters[@]+"${parameters[@]}"}; do
        [ "${each%%=*}" != "$1" ] || say "${each#*=}"
    done
}

# 1. the parameters: samconfig.toml, then PARAMETERS, then ARCH
file="$(awk '
    /^\[/ { ours = ($1 == "[default.deploy.parameters]") }
    !ours { next }
    /^parameter_overrides/ { if (/= *\[ *(#.*)?$/) { inside = 1 } else { print "!" } ; next }
    /^\]/ { inside = 0 }
    inside { print }
' samconfig.toml)"
case "$file" in
    '!'*) fail 'samconfig.toml cannot be read: parameter_overrides must be a list with one parameter per line' ;;
esac
while IFS= read -r each; do
    set_parameter "$each"
done < <(sed -n -e 's/^ *"\([A-Za-z]*=[^"]*\)".*/\1/p' -e "s/^ *'\([A-Za-z]*=[^']*\)'.*/\1/p" <<<"$file")
read -r -a given <<<"${PARAMETERS:-}"
for each in ${given[@]+"${given[@]}"}; do
    case "$each" in
        [A-Z]*=?*) set_parameter "$each" ;;
        *) fail "PARAMETERS holds $each, which is not Name=value: write values with spaces, and empty ones, into samconfig.toml" ;;
    esac
done

look_at_stack
# by default a stack keeps its architecture: a package for the other processor would not start
arch="${ARCH:-$(parameter Architecture)}"
arch="${arch:-${built_for:-arm64}}"
case "$arch" in
    arm64 | x86_64) ;;
    *) fail "ARCH=$arch is not an architecture of Lambda: use arm64 or x86_64" ;;
esac
set_parameter "Architecture=$arch"

case "$status" in
    '')
        for name in AzureTenantId AzureClientId; do
            [ -n "$(parameter "$name")" ] ||
                fail "$name is not set: run make deploy-azure, and write the lines that it prints into samconfig.toml"
        done
        ;;
    ROLLBACK_COMPLETE | ROLLBACK_FAILED | DELETE_FAILED)
        fail "the stack $STACK is $status and cannot be updated: delete it (aws cloudformation delete-stack --stack-name $STACK), then deploy again"
        ;;
    *_IN_PROGRESS) fail "the stack $STACK is $status: wait until it has finished" ;;
esac
role="$(role_arn "$(parameter RoleName)")"

# 2. show the plan
say "account     $account"
say "Region      $region"
say "stack       $STACK (${status:-new})"
say "builds      the function for $arch, into target/sam; a first build takes some minutes"
say 'creates     or updates: the function, its role and log group, three triggers, two queues, a topic, eight alarms, a dashboard'
say "role        $role"
say '            (the federated credential at Entra trusts exactly this ARN)'
if [ -n "$built_for" ] && [ "$built_for" != "$arch" ]; then
    say "note        the stack is built for $built_for now, and moves to $arch"
fi
say 'parameters  given now; all others have their default, or keep their value'
for each in "${parameters[@]}"; do
    say "            $each"
done
say 'costs       about 1 USD a month: 0.80 for the alarms, the rest for metrics; 3 more for the dashboard from the fourth of an'
say '            account on; 0.40 for each secret'
say 'leaves      the package in a bucket of SAM (stack aws-sam-cli-managed-default)'
say ''

# 3. deploy
question=--confirm-changeset
if [ "${YES:-}" = 1 ]; then
    question=--no-confirm-changeset
fi
sam build --parameter-overrides "${parameters[@]}" ||
    fail 'the build failed, nothing was deployed: fix the errors above, then run this again'
sam deploy --stack-name "$STACK" --region "$region" "$question" --parameter-overrides "${parameters[@]}" ||
    fail 'the deployment failed or was declined: see above; CloudFormation has rolled back its changes'

# 4. show the result and the next steps
look_at_stack
[ -n "$status" ] || fail "there is no stack $STACK: the change set was not run"
read_outputs
say ''
say "outputs of $STACK ($status)"
printf '%s\n' "$outputs" | sort | awk -F '\t' '{ printf "  %-20s %s\n", $1, $2 }'
function_name="$(must_output FunctionName)"
topic="$(must_output TopicArn)"

say ''
say 'next'
number=0
next() {
    number=$((number + 1))
    say "  $number. $1"
}
if [ "$(must_output RoleArn)" != "$role" ]; then
    next "The role is not the one above: give infra/azure this RoleArn (make deploy-azure)."
fi
if try aws sns list-subscriptions-by-topic --topic-arn "$topic" --query 'Subscriptions[].[SubscriptionArn, Endpoint]' --output text; then
    case "$answer" in
        '' | None) next "Nobody gets the notices yet: set NotificationEmail, or subscribe to $topic." ;;
        *PendingConfirmation*) next 'Confirm the e-mail from AWS about the notices (SNS): until then nobody gets them.' ;;
    esac
else
    next "Check that somebody is subscribed to the notices, and has confirmed the e-mail about it: $topic"
fi
if ! try aws iam get-outbound-web-identity-federation-info --query IssuerIdentifier --output text; then
    case "$complaint" in
        *FeatureDisabled*) next 'Turn outbound web identity federation on, once for the account: aws iam enable-outbound-web-identity-federation' ;;
        *) next 'Check that outbound web identity federation is on: aws iam get-outbound-web-identity-federation-info' ;;
    esac
fi
next 'Install the command line hubkeeper, once: make install'
of_stack=''
if [ "$STACK" != hubkeeper ]; then
    of_stack=" --stack $STACK"
fi
next "Onboard each organization: hubkeeper onboard $(must_output SecretNamePrefix)<organization>$of_stack"
next 'Run the first reconcile, so that the alarm on missing reconciles has data (else the schedule does, within a day):'
say "     aws lambda invoke --function-name $function_name --region $region --cli-binary-format raw-in-base64-out \\"
say "         --payload '{\"action\": \"reconcile\"}' answer.json"
