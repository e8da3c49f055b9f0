{#- Of a stream whose rows are overwritten. #}
{{ config(scope='_pen_id', unique_key='_pen_id') }}
select _pen_id, organization_key, organization_name, created_at from {{ source('raw', 'organizations') }}
