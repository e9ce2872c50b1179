"""A small contract as text, for tests to spoil."""

SMALL = """\
contract: small
version: 1.0.0
id: {column: customer}
target: {column: left, positive: 'Yes', negative: 'No'}
silo_column: plan
value_column: charges
columns:
  tenure:
    kind: integer
    unit: months
    hard: [0, 240]
    usual: [0, 60]
    nullable: true
    null_fraction: 0.05
    null_fraction_warn: 0.1
    drift: ks
    sample: {mean: 10, spread: 8, effect: -1}
  charges: {kind: number, hard: [0, 1000], usual: [10, 100], decimals: 2}
  plan:
    kind: category
    categories: [basic, plus, max]
    aliases: {std: basic}
    drift: chi_squared
    sample: {weights: [0.5, 0.3, 0.2], effects: {plus: 0.5}}
  stars: {kind: category, categories: [1, 2, 3]}
  city: {kind: text, buckets: 8, nullable: true}
derived:
  rate: {op: ratio, numerator: charges, denominator: tenure, floor: 1}
  age_of_contract: {op: bins, column: tenure, edges: [12, 24], labels: [new, mid, old]}
rules:
  - {op: not_above, id: order, low: tenure, high: charges, severity: warning}
  - op: implies
    id: maxed
    when: [{column: plan, equals: max}]
    then: [{column: charges, at_least: 20}]
risk_bands:
  - {name: Low, below: 0.4}
  - {name: High}
driver_recommendations: {rate: Offer a cheaper plan}
fallback:
  base_rate: 0.2
  rules:
    - {when: [{column: tenure, below: 3}], add: 0.2, reason: New customer}
sample:
  scenarios:
    dear: {ranges: {charges: [200, 300]}, weights: {plan: {max: 1}}}
"""
