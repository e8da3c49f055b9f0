{{ config(scope='user_key', sources={'stg_users': penstock.hash_key(['user_id'])}, unique_key='user_key') }}
{{ penstock.dimension(
  ref('stg_users'),
  key='user_key',
  natural_key='user_id',
  columns=[
    'username', 'title', 'first_name', 'last_name', 'email', 'phone', 'cell_phone', 'birth_date',
    'street_number', 'street_name', 'latitude', 'longitude', 'timezone_offset',
  ],
  unknown={'username': penstock.unknown_label()},
) }}
