terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
    # the body of a resource is an object, and so is its output, since version 2
    azapi = {
      source  = "Azure/azapi"
      version = ">= 2.0"
    }
  }
}
