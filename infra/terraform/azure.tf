# The same resources as infra/azure/azuredeploy.json: an identity, its federated credential, a custom role and its assignment.

locals {
  subscription_id = split("/", var.resource_group_id)[2]
  resource_group  = split("/", var.resource_group_id)[4]
  # stable names, so that a second apply changes nothing
  role_guid       = uuidv5("url", lower("${var.resource_group_id}/security connectors/${var.stack_name}"))
  assignment_guid = uuidv5("url", lower("${local.role_guid}/${azapi_resource.identity.id}"))

  role_definition_id = "/subscriptions/${local.subscription_id}/providers/Microsoft.Authorization/roleDefinitions/${local.role_guid}"

  actions        = ["Microsoft.Security/securityConnectors/read", "Microsoft.Security/securityConnectors/write"]
  delete_actions = ["Microsoft.Security/securityConnectors/delete"]
}

resource "azapi_resource" "identity" {
  type      = "Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30"
  parent_id = var.resource_group_id
  name      = var.stack_name
  location  = var.location
  tags      = var.tags

  response_export_values = ["properties.clientId", "properties.principalId", "properties.tenantId"]
}

resource "azapi_resource" "federated_credential" {
  type      = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2024-11-30"
  parent_id = azapi_resource.identity.id
  name      = "hubkeeper"
  body = {
    properties = {
      issuer    = var.aws_issuer
      subject   = local.role_arn
      audiences = [var.audience]
    }
  }
}

resource "azapi_resource" "role" {
  type      = "Microsoft.Authorization/roleDefinitions@2022-04-01"
  parent_id = var.resource_group_id
  name      = local.role_guid
  body = {
    properties = {
      roleName    = "${lower(var.stack_name)} security connectors ${substr(local.role_guid, 0, 13)}"
      description = "Lets hubkeeper manage the security connectors of resource group ${local.resource_group}."
      type        = "CustomRole"
      permissions = [
        {
          actions        = var.allow_delete ? concat(local.actions, local.delete_actions) : local.actions
          notActions     = []
          dataActions    = []
          notDataActions = []
        }
      ]
      assignableScopes = [var.resource_group_id]
    }
  }
}

resource "azapi_resource" "assignment" {
  type      = "Microsoft.Authorization/roleAssignments@2022-04-01"
  parent_id = var.resource_group_id
  name      = local.assignment_guid
  body = {
    properties = {
      principalId      = azapi_resource.identity.output.properties.principalId
      principalType    = "ServicePrincipal"
      roleDefinitionId = local.role_definition_id
      description      = "hubkeeper keeps the Docker Hub connectors of this resource group supplied"
    }
  }
  depends_on = [azapi_resource.role]
}
