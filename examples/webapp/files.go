package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/authcode-go/authcode"
	"github.com/authcode-go/authcode/examples/webapp/site"
	"github.com/authcode-go/authcode/signin"
)

const (
	storageScope = "https://storage.azure.com/user_impersonation"
	mostFiles    = 100
)

// files reads each user's blobs with a client of that user's own.
type files struct {
	clients *signin.ClientCache[*azblob.Client]
}

// newFiles makes clients of a storage account. They share connections, and nothing else.
func newFiles(h *signin.Handler, url string, client *http.Client) *files {
	options := &azblob.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: client}}
	return &files{signin.NewClientCache(h, 0, func(credential *authcode.AuthorizationCodeCredential) (*azblob.Client, error) {
		return azblob.NewClient(url, credential, options)
	})}
}

// list gives the first files that the user may see. An error that wants a sign-in or a consent goes back as it is.
func (f *files) list(ctx context.Context, user *signin.User) ([]site.File, error) {
	client, err := f.clients.Get(user)
	if err != nil {
		return nil, err
	}
	var all []site.File
	for containers := client.NewListContainersPager(nil); containers.More(); {
		page, err := containers.NextPage(ctx)
		if err != nil {
			return nil, explain(err)
		}
		for _, container := range page.ContainerItems {
			if all, err = appendBlobs(ctx, all, client, value(container.Name)); err != nil || len(all) == mostFiles {
				return all, explain(err)
			}
		}
	}
	return all, nil
}

func appendBlobs(ctx context.Context, all []site.File, client *azblob.Client, container string) ([]site.File, error) {
	for blobs := client.NewListBlobsFlatPager(container, nil); blobs.More(); {
		page, err := blobs.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, blob := range page.Segment.BlobItems {
			if len(all) == mostFiles {
				return all, nil
			}
			all = append(all, site.File{
				Container: container,
				Modified:  value(blob.Properties.LastModified),
				Name:      value(blob.Name),
				Size:      value(blob.Properties.ContentLength),
			})
		}
	}
	return all, nil
}

// value is what the server said, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		p = new(T)
	}
	return *p
}

// explain says what the user can do about a refusal that no sign-in changes.
func explain(err error) error {
	if bloberror.HasCode(err, bloberror.AuthorizationPermissionMismatch, bloberror.AuthorizationFailure, bloberror.InsufficientAccountPermissions) {
		return site.Explanation("You may not read this storage account. Its owner can give you the role Storage Blob Data Reader; that takes up to ten minutes to take effect.")
	}
	if err != nil {
		return fmt.Errorf("reading the storage account: %w", err)
	}
	return nil
}
