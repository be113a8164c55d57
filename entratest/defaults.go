package entratest

import "time"

// DefaultDirectory is a small world for tests, the same each time; change what you like before you hand it over.
//
//   - Tenants contoso.example and fabrikam.example, and that of personal accounts.
//   - Users alice@contoso.example and bob@contoso.example, and carol@fabrikam.example; alice is also a guest in
//     fabrikam, and bob an administrator. Users for what goes wrong: mfa@, blocked@, disabled@ and expired@contoso.example
//     are named for it, frequent@contoso.example has to sign in every hour; personal@outlook.example has a personal
//     account. All passwords are "password".
//   - App "web": confidential, of contoso, multi-tenant, with two secrets (the first one full of characters that need
//     encoding) and the redirect URIs of a site at https://app.example.com and of one in development.
//   - App "native": public, of contoso, multi-tenant, http://localhost and http://127.0.0.1 with any port.
//   - App "spa": a single-page application of contoso at http://localhost:3000/ and https://localhost:3000/.
//   - App "consent": as web, but users are asked for consent, and some scopes of api://orders are an administrator's.
//   - App "api": the API api://orders itself, which calls others on behalf of its callers.
//   - Resources Microsoft Graph, Azure Storage, Azure Resource Manager, Azure Key Vault and an API of contoso's own,
//     api://orders, with version 2 tokens and the scopes Orders.Read, Orders.Write and (for administrators) Orders.Admin.
func DefaultDirectory() *Directory {
	const (
		contoso  = "c0700000-6d2e-4a1f-b8c3-5e4f3a2b1c0d"
		fabrikam = "fab00000-3c55-4d8a-9e1b-7f6a2c4d5e90"
		ordersID = "0bde5000-9c1d-4b7e-8f20-31a2b3c4d5e6"
	)
	return &Directory{
		Tenants: []Tenant{
			{ID: contoso, Domain: "contoso.example"},
			{ID: fabrikam, Domain: "fabrikam.example"},
			{ID: ConsumersTenantID},
		},
		Users: []User{
			{
				Username: "alice@contoso.example", Name: "Alice Anders", Password: "password",
				ObjectID: "a11ce000-5d6e-4f70-8a9b-0c1d2e3f4a5b", TenantID: contoso,
				Guests: []Guest{{TenantID: fabrikam, ObjectID: "a11ce999-1b2c-4d3e-9f40-5a6b7c8d9e0f"}},
			},
			{
				Username: "bob@contoso.example", Name: "Bob Berger", Password: "password",
				ObjectID: "b0b00000-7a1c-4e2d-b3f4-95a6b7c8d9ea", TenantID: contoso, Admin: true,
				Groups: []string{"96009000-1a2b-4c3d-8e4f-5a6b7c8d9e01"}, Roles: []string{"Orders.Approver"},
			},
			{
				Username: "carol@fabrikam.example", Name: "Carol Chen", Password: "password",
				ObjectID: "ca201000-2f3e-4a5b-8c6d-7e8f90a1b2c3", TenantID: fabrikam,
			},
			{
				Username: "mfa@contoso.example", Name: "Second Factor", Password: "password", MFARequired: true,
				ObjectID: "3fa00000-1c2d-4e3f-8a4b-5c6d7e8f9a01", TenantID: contoso,
			},
			{
				Username: "frequent@contoso.example", Name: "Signs In Hourly", Password: "password", SignInFrequency: time.Hour,
				ObjectID: "f2e00000-2d3e-4f4a-9b5c-6d7e8f9a0b12", TenantID: contoso,
			},
			{
				Username: "blocked@contoso.example", Name: "Kept Out by Policy", Password: "password", Blocked: true,
				ObjectID: "b10c0000-3e4f-4a5b-8c6d-7e8f9a0b1c23", TenantID: contoso,
			},
			{
				Username: "disabled@contoso.example", Name: "Disabled Account", Password: "password", Disabled: true,
				ObjectID: "d15a0000-4f5a-4b6c-9d7e-8f9a0b1c2d34", TenantID: contoso,
			},
			{
				Username: "expired@contoso.example", Name: "Expired Password", Password: "password", PasswordExpired: true,
				ObjectID: "e4900000-5a6b-4c7d-8e8f-9a0b1c2d3e45", TenantID: contoso,
			},
			{
				Username: "personal@outlook.example", Name: "Personal Account", Password: "password",
				ObjectID: "00000000-0000-0000-6b7c-8d9e0f1a2b56", TenantID: ConsumersTenantID,
			},
		},
		Apps: []App{
			{
				Name: "web", ClientID: "3eb00000-4f1d-4c8e-a2b7-60d5c4b3a291", TenantID: contoso, MultiTenant: true,
				Type:        Confidential,
				Permissions: []string{"https://graph.microsoft.com/User.Read.All"},
				Secrets:     []string{"s3cr:t%+&=ü~/?#' \"\\<>", "plain-secret"},
				RedirectURIs: []string{
					"http://localhost:3000/auth/callback",
					"https://app.example.com/auth/callback",
					"https://localhost:3000/auth/callback",
					"http://localhost:3000/", // where a browser lands after sign-out
					"https://app.example.com/",
					"https://localhost:3000/",
				},
			},
			{
				Name: "native", ClientID: "9a710000-8e2c-4d5b-9f3a-71e6d5c4b3a2", TenantID: contoso, MultiTenant: true,
				Type:         Public,
				RedirectURIs: []string{"http://localhost", "http://127.0.0.1"},
			},
			{
				Name: "spa", ClientID: "59a00000-1b2c-4d3e-8f4a-5b6c7d8e9f01", TenantID: contoso,
				Type:         SPA,
				RedirectURIs: []string{"http://localhost:3000/", "https://localhost:3000/"},
			},
			{
				Name: "consent", ClientID: "c0520000-2c3d-4e4f-9a5b-6c7d8e9fa012", TenantID: contoso,
				Type: Confidential, AsksConsent: true,
				Secrets:        []string{"consent-secret"},
				ExpiredSecrets: []string{"expired-secret"},
				RedirectURIs:   []string{"http://localhost:3000/auth/callback", "https://app.example.com/auth/callback"},
			},
			{
				Name: "api", ClientID: ordersID, TenantID: contoso,
				Type:    Confidential,
				Secrets: []string{"api-secret"},
			},
		},
		Resources: []Resource{
			{ID: "https://graph.microsoft.com", AppID: "00000003-0000-0000-c000-000000000000", TokenVersion: 1, ShortScopes: true},
			{ID: "https://storage.azure.com", AppID: "e406a681-f3d4-42a8-90b6-c2b029497af1", TokenVersion: 1},
			{ID: "https://management.azure.com", AppID: "797f4846-ba00-4fd7-ba43-dac1f8f63013", TokenVersion: 1},
			{ID: "https://management.core.windows.net", AppID: "797f4846-ba00-4fd7-ba43-dac1f8f63013", TokenVersion: 1},
			{ID: "https://vault.azure.net", AppID: "cfa8b339-82a2-471a-a3c9-0fc0be7a4093", TokenVersion: 1},
			{
				ID: "api://orders", AppID: ordersID, TokenVersion: 2,
				Scopes:      []string{"Orders.Read", "Orders.Write", "Orders.Admin"},
				AdminScopes: []string{"Orders.Admin"},
			},
		},
	}
}
