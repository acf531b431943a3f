#!/usr/bin/env bash
# Creates the function's resources in Azure: an identity that trusts the function's IAM role, and a custom role for it, in the
# resource group of the connectors. Run it before the AWS stack exists: the role's name is known in advance.
#
# Settings: AZURE_RESOURCE_GROUP, STACK, IDENTITY (default: STACK), AWS_ISSUER, ROLE_ARN, PARAMETERS ("name=value ..."), YES=1 (no
# question), AWS_REGION, AWS_PROFILE. The subscription is the one that az has chosen.
set -euo pipefail
# shellcheck source=infra/common.sh
. "$(dirname "$0")/../common.sh"
cd "$root"

need az 'install the Azure CLI (https://learn.microsoft.com/cli/azure/)'
group="${AZURE_RESOURCE_GROUP:-}"
[ -n "$group" ] || fail 'AZURE_RESOURCE_GROUP is not set: name the resource group of the connectors'
identity="${IDENTITY:-$STACK}"
[ "${#identity}" -ge 3 ] && [ "${#identity}" -le 64 ] || fail "the identity's name $identity does not have 3 to 64 characters: set IDENTITY"
read -r -a given <<<"${PARAMETERS:-}"
case " ${PARAMETERS:-}" in
    *' existingPrincipalId='*) fail 'with existingPrincipalId there is nothing to trust: run az deployment group create as infra/azure/README.md says' ;;
esac

# 1. the trusted principal: the IAM role, and the issuer of its account
issuer="${AWS_ISSUER:-}" role="${ROLE_ARN:-}" whence='ROLE_ARN'
if [ -z "$issuer" ] || [ -z "$role" ]; then
    need_aws
    aws_login
fi
if [ -z "$role" ]; then
    role="$(role_arn)" whence="the stack $STACK does not exist yet; it will give its role this name"
    look_at_stack
    if [ -n "$status" ]; then
        read_outputs
        stated="$(output RoleArn)"
        role="${stated:-$role}" whence="the stack $STACK ($status)"
    fi
fi
case "$role" in
    arn:aws*:iam::*:role/*) ;;
    *) fail "ROLE_ARN=$role is not the ARN of an IAM role: it looks like arn:aws:iam::111122223333:role/hubkeeper-eu-west-1" ;;
esac
if [ -z "$issuer" ]; then
    if ! try aws iam get-outbound-web-identity-federation-info --query IssuerIdentifier --output text; then
        case "$complaint" in
            *FeatureDisabled*) fail "outbound web identity federation is off in account $account: an administrator turns it on, once (aws iam enable-outbound-web-identity-federation)" ;;
            *'Invalid choice'* | *'invalid choice'*) fail 'this AWS CLI is too old to show the issuer: update it, or set AWS_ISSUER' ;;
            *) fail "the issuer cannot be read: set AWS_ISSUER ($complaint)" ;;
        esac
    fi
    issuer="$answer"
fi
case "$issuer" in
    https://?*) ;;
    *) fail "AWS_ISSUER=$issuer is not an https URL: aws iam get-outbound-web-identity-federation-info shows the issuer" ;;
esac

# 2. the target: the subscription that az has selected
try az account show --query '[name, id, tenantId]' --output tsv || fail "there is no Azure login: run az login ($complaint)"
{ read -r subscription_name && read -r subscription && read -r tenant; } <<<"$(tr '\t' '\n' <<<"$answer")" ||
    fail "the output of az account show cannot be parsed: ${answer:-nothing}"
try az cloud show --query name --output tsv || fail "the Azure cloud cannot be read: $complaint"
case "$answer" in
    AzureUSGovernment) audience='api://AzureADTokenExchangeUSGov' ;;
    *) audience='api://AzureADTokenExchange' ;;
esac
try az group show --name "$group" --query location --output tsv ||
    fail "there is no resource group $group in the subscription $subscription_name: choose another subscription (az account set), or create it (az group create --name $group --location <location>) ($complaint)"
location="$answer"

# one credential trusts one role: do not overwrite another stack's trust
if try az identity federated-credential show --identity-name "$identity" --resource-group "$group" --name hubkeeper \
    --query subject --output tsv && [ -n "$answer" ] && [ "$answer" != "$role" ]; then
    fail "the identity $identity trusts $answer already: set IDENTITY to another name; or, if that role is gone, delete the credential (az identity federated-credential delete --identity-name $identity --resource-group $group --name hubkeeper)"
fi

# 3. show the plan
say "subscription  $subscription_name ($subscription), tenant $tenant"
say "group         $group ($location)"
say "creates       or updates: the managed identity $identity and its federated credential, a custom role, its assignment in this"
say '              group; it costs nothing, and creates no secret'
say 'trusts        an assertion of AWS with exactly'
say "              issuer   $issuer"
say "              subject  $role"
say "              audience $audience"
say "              (the subject: $whence)"
say 'leaves        everything else in the group unchanged'
if try az provider show --namespace Microsoft.Security --query registrationState --output tsv && [ "$answer" != Registered ]; then
    say "note          Microsoft.Security is $answer in this subscription. Writes of connectors fail until an administrator has run:"
    say '              az provider register --namespace Microsoft.Security --wait'
fi
say ''

# 4. deploy
question=(--confirm-with-what-if)
if [ "${YES:-}" = 1 ]; then
    question=()
fi
deployment="$identity"
az deployment group create --name "$deployment" --resource-group "$group" --template-file infra/azure/azuredeploy.json \
    ${question[@]+"${question[@]}"} --output none \
    --parameters identityName="$identity" awsIssuer="$issuer" awsRoleArn="$role" audience="$audience" ${given[@]+"${given[@]}"} ||
    fail 'the deployment failed or was declined: see above, and "When it fails" in infra/azure/README.md'

names='tenantId clientId principalId federatedIssuer federatedSubject federatedAudience'
try az deployment group show --name "$deployment" --resource-group "$group" --output tsv \
    --query "properties.outputs.[tenantId.value, clientId.value, principalId.value, federatedIssuer.value, federatedSubject.value, federatedAudience.value]" ||
    fail "the outputs of the deployment $deployment cannot be read: $complaint"
outputs="$(paste <(tr ' ' '\n' <<<"$names") <(tr '\t' '\n' <<<"$answer"))"
say ''
say "outputs of $deployment"
printf '%s\n' "$outputs" | awk -F '\t' '{ printf "  %-20s %s\n", $1, $2 }'
[ "$(output federatedSubject)" = "$role" ] ||
    fail "Entra has stored the subject $(output federatedSubject), not $role: Entra would reject the function"
say ''
say 'next'
say '  1. Write these two lines into parameter_overrides in samconfig.toml:'
say "         \"AzureTenantId=$(output tenantId)\","
say "         \"AzureClientId=$(output clientId)\","
if [ "$audience" != 'api://AzureADTokenExchange' ]; then
    say '         "AzureCloud=us-government",'
fi
say '  2. Deploy the stack: make deploy'
say '     The credential and the role take some minutes to propagate. If the first event fails, send it again.'
