// A second device in the memory of the CPU: what a GPU would refuse is refused, and what it would compute is computed.
//
// Tensors of this device carry another type than the CPU's. Every operation that is not written out below goes through
// `computed_by_the_cpu`, which first looks whether all its tensors are on the device, as CUDA does, and then lets the
// CPU compute. Allowed beside tensors of the device, as for CUDA, are tensors without dimensions, and the CPU's indices.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/InferSize.h>
#include <ATen/autocast_mode.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/extension.h>
#include <torch/library.h>

#include <string>

namespace {

using at::Tensor;
using c10::IntArrayRef;
using c10::SymInt;
using c10::SymIntArrayRef;
template <class T>
using Maybe = std::optional<T>;

constexpr auto KIND = c10::DeviceType::PrivateUse1;
const c10::Device DEVICE(KIND, 0);

// There is one device and one stream.
struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return KIND; }
  c10::Device exchangeDevice(c10::Device) const override { return DEVICE; }
  c10::Device getDevice() const override { return DEVICE; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, DEVICE); }
  c10::Stream getDefaultStream(c10::Device) const override { return c10::Stream(c10::Stream::DEFAULT, DEVICE); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, DEVICE); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void synchronizeDevice(const c10::DeviceIndex) const override {}
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

struct Memory final : at::Allocator {
  at::DataPtr allocate(size_t bytes) override {
    void* place = bytes ? malloc(bytes) : nullptr;
    return {place, place, &free, DEVICE};
  }
  at::DeleterFnPtr raw_deleter() const override { return &free; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { memcpy(to, from, bytes); }
};
Memory MEMORY;
REGISTER_ALLOCATOR(KIND, &MEMORY);

// Draws what the CPU's generator draws from the same seed.
struct Generator : c10::GeneratorImpl {
  at::Generator inner;
  explicit Generator(uint64_t seed = c10::default_rng_seed_val)
      : c10::GeneratorImpl(DEVICE, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1)),
        inner(at::detail::createCPUGenerator(seed)) {}
  void set_current_seed(uint64_t seed) override { inner.set_current_seed(seed); }
  void set_offset(uint64_t) override {}
  uint64_t get_offset() const override { return 0; }
  uint64_t current_seed() const override { return inner.current_seed(); }
  uint64_t seed() override { return inner.seed(); }
  void set_state(const c10::TensorImpl& state) override { inner.unsafeGetGeneratorImpl()->set_state(state); }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override { return inner.unsafeGetGeneratorImpl()->get_state(); }
  Generator* clone_impl() const override {
    auto* copy = new Generator();
    copy->inner = inner.clone();
    return copy;
  }
};

at::Generator& common_generator() {
  static at::Generator generator = at::make_generator<Generator>();
  return generator;
}

struct Hooks final : at::PrivateUse1HooksInterface {
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override { return common_generator(); }
  at::Generator getNewGenerator(c10::DeviceIndex) const override { return at::make_generator<Generator>(); }
  at::Device getDeviceFromPtr(void*) const override { return DEVICE; }
  bool isPinnedPtr(const void*) const override { return false; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  bool isAvailable() const override { return true; }
  bool isBuilt() const override { return true; }
  void init() const override {}
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void resizePrivateUse1Bytes(const c10::Storage& storage, size_t bytes) const override {
    auto* held = storage.unsafeGetStorageImpl();
    at::DataPtr larger = MEMORY.allocate(bytes);
    memcpy(larger.get(), held->data(), std::min(bytes, held->nbytes()));
    held->set_data_ptr_noswap(std::move(larger));
    held->set_nbytes(bytes);
  }
};

// The same memory as a tensor of the CPU.
Tensor seen_by_cpu(const Tensor& tensor) {
  if (tensor.is_cpu()) return tensor;
  const int64_t items = tensor.storage().nbytes() / tensor.element_size();
  auto options = tensor.options().device(at::kCPU).requires_grad(false);
  return at::from_blob(const_cast<void*>(tensor.storage().data()), {items}, options)
      .as_strided(tensor.sizes(), tensor.strides(), tensor.storage_offset());
}

Tensor empty(IntArrayRef size, Maybe<at::ScalarType> type, Maybe<at::Layout>, Maybe<c10::Device>, Maybe<bool>,
             Maybe<at::MemoryFormat> format) {
  c10::DispatchKeySet keys(c10::DispatchKey::PrivateUse1);
  return at::detail::empty_generic(size, &MEMORY, keys, c10::dtype_or_default(type), format);
}

Tensor empty_strided(IntArrayRef size, IntArrayRef stride, Maybe<at::ScalarType> type, Maybe<at::Layout>,
                     Maybe<c10::Device>, Maybe<bool>) {
  c10::DispatchKeySet keys(c10::DispatchKey::PrivateUse1);
  return at::detail::empty_strided_generic(size, stride, &MEMORY, keys, c10::dtype_or_default(type));
}

Tensor copy_from(const Tensor& from, const Tensor& to, bool) {
  if (to.numel()) seen_by_cpu(to).copy_(seen_by_cpu(from));
  return to;
}

at::Scalar local_scalar(const Tensor& tensor) { return seen_by_cpu(tensor).item(); }

Tensor view_of(const Tensor& tensor, IntArrayRef size, IntArrayRef stride, int64_t offset, caffe2::TypeMeta type) {
  auto view = at::detail::make_tensor<at::TensorImpl>(c10::TensorImpl::VIEW, c10::Storage(tensor.storage()),
                                                      tensor.key_set(), type);
  view.unsafeGetTensorImpl()->set_sizes_and_strides(size, stride, offset);
  return view;
}

Tensor as_strided(const Tensor& tensor, SymIntArrayRef size, SymIntArrayRef stride, Maybe<SymInt> offset) {
  return view_of(tensor, C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride),
                 offset ? offset->expect_int() : tensor.storage_offset(), tensor.dtype());
}

Tensor reshape_alias(const Tensor& tensor, SymIntArrayRef size, SymIntArrayRef stride) {
  return as_strided(tensor, size, stride, std::nullopt);
}

Tensor alias(const Tensor& tensor) {
  return view_of(tensor, tensor.sizes(), tensor.strides(), tensor.storage_offset(), tensor.dtype());
}

Tensor view(const Tensor& tensor, SymIntArrayRef size) {
  auto whole = at::infer_size(C10_AS_INTARRAYREF_SLOW(size), tensor.numel());
  auto stride = at::detail::computeStride(tensor.sizes(), tensor.strides(), whole);
  TORCH_CHECK(stride.has_value(), "view: size is not compatible with the strides of the tensor");
  return view_of(tensor, whole, *stride, tensor.storage_offset(), tensor.dtype());
}

Tensor view_as_type(const Tensor& tensor, at::ScalarType type) {
  TORCH_CHECK(at::elementSize(type) == size_t(tensor.element_size()), "view: a type of another size");
  return view_of(tensor, tensor.sizes(), tensor.strides(), tensor.storage_offset(), c10::scalarTypeToTypeMeta(type));
}

Tensor unfold(const Tensor& tensor, int64_t dimension, int64_t size, int64_t step) {
  auto windows = seen_by_cpu(tensor).unfold(dimension, size, step);
  return view_of(tensor, windows.sizes(), windows.strides(), tensor.storage_offset(), tensor.dtype());
}

const Tensor& resize(const Tensor& tensor, SymIntArrayRef size, Maybe<at::MemoryFormat>) {
  IntArrayRef wanted = C10_AS_INTARRAYREF_SLOW(size);
  if (tensor.sizes() == wanted) return tensor;
  const size_t bytes = (tensor.storage_offset() + c10::multiply_integers(wanted)) * tensor.element_size();
  if (tensor.storage().nbytes() < bytes) Hooks().resizePrivateUse1Bytes(tensor.storage(), bytes);
  auto stride = at::detail::defaultStrides(wanted);
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(wanted, stride, tensor.storage_offset());
  return tensor;
}

Tensor copy_from_and_resize(const Tensor& from, const Tensor& to) {
  if (to.sizes() != from.sizes()) resize(to, from.sym_sizes(), std::nullopt);
  return copy_from(from, to, false);
}

Tensor& set_storage(Tensor& tensor, at::Storage storage, int64_t offset, IntArrayRef size, IntArrayRef stride) {
  tensor.unsafeGetTensorImpl()->set_storage_keep_dtype(storage);
  auto usual = at::detail::defaultStrides(size);
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(size, stride.empty() ? IntArrayRef(usual) : stride, offset);
  return tensor;
}

Tensor& set_tensor(Tensor& tensor, const Tensor& other) {
  return set_storage(tensor, other.storage(), other.storage_offset(), other.sizes(), other.strides());
}

bool takes_indices(const std::string& name) {
  return name == "aten::index" || name == "aten::index_put" || name == "aten::index_put_" ||
         name == "aten::_index_put_impl_" || name == "aten::_unsafe_index";
}

void computed_by_the_cpu(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  const auto& schema = operation.schema();
  const size_t count = schema.arguments().size(), first = stack->size() - count;
  bool here = false, elsewhere = false;
  auto look = [&](const Tensor& tensor) {
    if (!tensor.defined()) return;
    here = here || !tensor.is_cpu();
    elsewhere = elsewhere || (tensor.is_cpu() && tensor.dim() > 0);
  };
  for (size_t place = first; place < stack->size(); place++) {
    auto& value = (*stack)[place];
    if (value.isTensor()) {
      look(value.toTensor());
    } else if (value.isTensorList()) {
      for (const Tensor& tensor : value.toTensorList()) look(tensor);
    } else if (value.isOptionalTensorList() && !takes_indices(schema.name())) {
      for (const Maybe<Tensor>& tensor : value.toOptionalTensorVector())
        if (tensor) look(*tensor);
    } else if (value.isGenerator()) {
      at::Generator generator = value.toGenerator();
      TORCH_CHECK(generator.device().type() == KIND, schema.name(), ": a generator of another device");
      value = static_cast<Generator*>(generator.unsafeGetGeneratorImpl())->inner;
    }
  }
  TORCH_CHECK(!(here && elsewhere), "Expected all tensors to be on the same device: ", schema.name(),
              " got some of the CPU and some of the second device");
  at::native::cpu_fallback(operation, stack);
}

// Its schema does not say that the running statistics change.
std::tuple<Tensor, Tensor, Tensor> batch_norm(const Tensor& x, const Maybe<Tensor>& weight, const Maybe<Tensor>& bias,
                                              const Maybe<Tensor>& mean, const Maybe<Tensor>& variance, bool training,
                                              double momentum, double eps) {
  auto same = [](const Maybe<Tensor>& tensor) -> Maybe<Tensor> {
    if (!tensor || !tensor->defined()) return std::nullopt;
    TORCH_CHECK(!tensor->is_cpu(), "batch_norm: expected all tensors to be on the same device");
    return seen_by_cpu(*tensor);
  };
  auto [y, saved, inverse] = at::native_batch_norm(seen_by_cpu(x), same(weight), same(bias), same(mean),
                                                   same(variance), training, momentum, eps);
  return {y.to(DEVICE), saved.to(DEVICE), inverse.to(DEVICE)};
}

Tensor convolution(const Tensor& x, const Tensor& weight, const Maybe<Tensor>& bias, IntArrayRef stride,
                   IntArrayRef padding, IntArrayRef dilation, bool transposed, IntArrayRef more, int64_t groups) {
  TORCH_CHECK(!x.is_cpu() && !weight.is_cpu(), "convolution: expected all tensors to be on the same device");
  Maybe<Tensor> added;
  if (bias && bias->defined()) added = bias->to(at::kCPU);
  return at::convolution(x.to(at::kCPU), weight.to(at::kCPU), added, stride, padding, dilation, transposed, more, groups)
      .to(DEVICE);
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(const Tensor& slope, const Tensor& x, const Tensor& weight,
                                                        IntArrayRef stride, IntArrayRef padding, IntArrayRef dilation,
                                                        bool transposed, IntArrayRef more, int64_t groups,
                                                        std::array<bool, 3> wanted) {
  const std::vector<int64_t> bias{weight.size(transposed ? 1 : 0) * (transposed ? groups : 1)};
  auto [by_x, by_weight, by_bias] =
      at::convolution_backward(slope.to(at::kCPU), x.to(at::kCPU), weight.to(at::kCPU), IntArrayRef(bias), stride,
                               padding, dilation, transposed, more, groups, wanted);
  auto back = [](const Tensor& tensor) { return tensor.defined() ? tensor.to(DEVICE) : tensor; };
  return {back(by_x), back(by_weight), back(by_bias)};
}

void unscale(at::TensorList gradients, Tensor& found_inf, const Tensor& inverse) {
  std::vector<Tensor> same;
  for (const auto& gradient : gradients) same.push_back(seen_by_cpu(gradient));
  auto found = seen_by_cpu(found_inf);
  at::_amp_foreach_non_finite_check_and_unscale_(same, found, seen_by_cpu(inverse));
}

}  // namespace

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&computed_by_the_cpu>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("_copy_from", &copy_from);
  library.impl("_copy_from_and_resize", &copy_from_and_resize);
  library.impl("_local_scalar_dense", &local_scalar);
  library.impl("as_strided", &as_strided);
  library.impl("_reshape_alias", &reshape_alias);
  library.impl("alias", &alias);
  library.impl("view", &view);
  library.impl("view.dtype", &view_as_type);
  library.impl("unfold", &unfold);
  library.impl("resize_", &resize);
  library.impl("set_.source_Storage_storage_offset", &set_storage);
  library.impl("set_.source_Tensor", &set_tensor);
  library.impl("native_batch_norm", &batch_norm);
  library.impl("convolution_overrideable", &convolution);
  library.impl("convolution_backward_overrideable", &convolution_backward);
  library.impl("_amp_foreach_non_finite_check_and_unscale_", &unscale);
}

TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, library) { library.fallback(torch::CppFunction::makeFallthrough()); }

TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
#define LOWER(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, lower_precision_fp)
  AT_FORALL_LOWER_PRECISION_FP(LOWER)
#define FULL(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32)
  AT_FORALL_FP32(FULL)
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, module) {
  module.def("install", []() { at::RegisterPrivateUse1HooksInterface(new Hooks()); });
  module.def("common_generator", []() { return common_generator(); });
}
