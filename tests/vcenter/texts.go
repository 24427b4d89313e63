// texts.go says faults in the words of a vCenter. The simulator leaves them
// empty, or puts a Go type there.

package main

import (
	"fmt"
	"strings"

	"github.com/vmware/govmomi/vim25/types"
)

// plainText has the messages that name nothing, by type of fault.
var plainText = map[string]string{
	"NotAuthenticated":    "The session is not authenticated.",
	"NoPermission":        "Permission to perform this operation was denied.",
	"InvalidLogin":        "Cannot complete login due to an incorrect user name or password.",
	"InvalidState":        "The operation is not allowed in the current state.",
	"NotSupported":        "The operation is not supported on the object.",
	"NotFound":            "The requested object was not found.",
	"RequestCanceled":     "The task was canceled by a user.",
	"ToolsUnavailable":    "Cannot complete operation because VMware Tools is not running in this virtual machine.",
	"ConcurrentAccess":    "Cannot complete operation due to concurrent modification by another operation.",
	"InvalidVmConfig":     "The virtual machine has an invalid configuration.",
	"InvalidRequest":      "A parameter of the request was not correct.",
	"InvalidArgument":     "A specified parameter was not correct.",
	"MethodNotFound":      "The method is not supported on the object.",
	"FileAlreadyExists":   "The specified key, name, or identifier already exists.",
	"AlreadyExists":       "The specified key, name, or identifier already exists.",
	"CannotAccessFile":    "Unable to access file.",
	"InvalidPowerState":   "The attempted operation cannot be performed in the current state.",
	"OvfUnsupportedType":  "The OVF package has hardware that is not supported.",
	"ResourceInUse":       "The resource is in use.",
	"TemplateConfigFault": "The template's configuration cannot be changed.",
}

// typeOf is the API's name of a value's type.
func typeOf(v any) string { return strings.TrimPrefix(fmt.Sprintf("%T", v), "*types.") }

func faultText(f types.BaseMethodFault) string {
	switch x := f.(type) {
	case *types.SystemError:
		return "A general system error occurred: " + x.Reason
	case *types.GenericVmConfigFault:
		return x.Reason
	case *types.InvalidArgument:
		return "A specified parameter was not correct: " + x.InvalidProperty
	case *types.InvalidPowerState:
		state := map[types.VirtualMachinePowerState]string{"poweredOn": "Powered on", "poweredOff": "Powered off", "suspended": "Suspended"}
		return fmt.Sprintf("The attempted operation cannot be performed in the current state (%s).", state[x.ExistingState])
	case *types.DuplicateName:
		return fmt.Sprintf("The name '%s' already exists.", x.Name)
	case *types.ManagedObjectNotFound:
		return fmt.Sprintf("The object 'vim.%s:%s' has already been deleted or has not been completely created", x.Obj.Type, x.Obj.Value)
	case *types.NoDiskSpace:
		return fmt.Sprintf("Insufficient disk space on datastore '%s'.", x.Datastore)
	case *types.FileNotFound:
		return fmt.Sprintf("File %s was not found", x.File)
	case *types.InvalidDatastore:
		return fmt.Sprintf("Datastore '%s' is not accessible.", x.Name)
	case *types.InvalidDatastorePath:
		return fmt.Sprintf("Invalid datastore path '%s'.", x.DatastorePath)
	case *types.InvalidDeviceBacking:
		return fmt.Sprintf("Invalid backing for device '%d'.", x.DeviceIndex)
	case *types.InvalidDeviceOperation:
		return fmt.Sprintf("Invalid operation for device '%d'.", x.DeviceIndex)
	case *types.InvalidDeviceSpec:
		return fmt.Sprintf("Invalid configuration for device '%d'.", x.DeviceIndex)
	}
	if t, ok := plainText[typeOf(f)]; ok {
		return t
	}
	return typeOf(f)
}
