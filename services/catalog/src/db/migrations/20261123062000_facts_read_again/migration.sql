-- Manifests of long syncs were looked into before their configurations had come.
update manifest set config_unread = true where not config_unread and facts ->> 'kind' = 'image' and not facts ? 'architecture';
